"""The app: `streamlit run app.py`. Its look and its navigation."""

from __future__ import annotations

import streamlit as st

from pages import shared

st.set_page_config(page_title="agegender", page_icon=str(shared.MARK), layout="wide")
st.logo(str(shared.LOGO), icon_image=str(shared.MARK), size="large")
shared.run(shared.navigation())
