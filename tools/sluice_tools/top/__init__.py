"""`sluice top`: the streams of a server, live. `view` decides what is shown, `command` reads and shows it."""
