package main

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// endings are the signals that end us, without those that our caller has us ignore, as nohup does.
var endings = slices.DeleteFunc([]os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}, signal.Ignored)

// acceptable makes signals come too late. It is called when the whole message is read: between there and our end no
// signal may part the message in the spool from the status that tells of it.
func acceptable() error {
	signal.Ignore(endings...)
	return nil
}

// catch takes the signals that would end us. A program that we start must not find them ignored as well, so this
// comes before.
func catch() chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, endings...)
	return signals
}

// relay passes signals on to a program for which we wait.
func relay(signals <-chan os.Signal, to *os.Process) {
	for s := range signals {
		to.Signal(s)
	}
}
