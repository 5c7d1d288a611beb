"""Which labels are probably wrong, told by models that have not seen them."""
