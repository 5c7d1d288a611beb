"""The app: `streamlit run app.py`. Its look and its navigation."""

from __future__ import annotations

import streamlit as st

from pages.navigation import LOGO, MARK, navigation, show_page

st.set_page_config(page_title="agegender", page_icon=str(MARK), layout="wide")
st.logo(str(LOGO), icon_image=str(MARK), size="large")
show_page(navigation())
