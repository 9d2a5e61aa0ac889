"""What reacts to the topic `zap-events`, and the scheduler: runs actions, builds read models, fires timers."""
