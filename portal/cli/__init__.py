"""Running the portal: the supervisor, the scheduler, and the commands behind them."""
