"""What runs in the background: the supervisor, its workers, and the state that procedures share with them."""
