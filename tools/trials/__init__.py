"""Many runs of one config, each with settings of its own: in processes, resumed after a kill, failures are rows."""
