"""What was asked (`AppContext`, `Job`) and the plan made from it; pure, no I/O."""
