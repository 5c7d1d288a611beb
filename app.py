"""The app: `streamlit run app.py`. Its look, its navigation, and where errors surface."""

from __future__ import annotations

import streamlit as st

from pages import shared

st.set_page_config(page_title="agegender", page_icon=str(shared.MARK), layout="wide")
st.logo(str(shared.LOGO), icon_image=str(shared.MARK), size="large")
shared.enter_app()
page = shared.navigation()
with shared.errors_as_messages():
    page.run()
