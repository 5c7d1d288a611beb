"""How sure an answer is: intervals of ages, calibrated genders, unfamiliar faces."""
