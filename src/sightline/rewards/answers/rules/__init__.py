"""What makes two answers the same: a function a rule, by the kind of answer. `equality.RULES` orders them."""
