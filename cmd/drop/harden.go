package main

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// harden takes from our caller what he could have set to his liking. The descriptors that he has left open stay: among them
// are some that the runtime has opened for itself, and nothing is written to any but by a number that we got.
func harden() {
	again()
	os.Clearenv()
	signal.Ignore(ignored...)
	syscall.Umask(0o077)
	os.Chdir("/") // who stays where he was has only himself to wonder: no path of ours is relative
	liftLimits()
}

// again starts the program anew without an environment, if it has one: the Go runtime has heeded it already. Where that
// cannot be done, we go on.
func again() {
	const secure = "GOTRACEBACK=none" // which the runtime puts there for set-id programs
	if len(os.Args) == 1 && slices.ContainsFunc(os.Environ(), func(v string) bool { return v != secure }) {
		syscall.Exec("/proc/self/exe", []string{"drop"}, nil)
	}
}

// ignored are the signals that would end us. Sendmail gets them as well, and when that ends, so does our input: the draft is
// then removed, which no signal that ends us could do. SIGXFSZ and SIGPIPE become errors of what is written.
var ignored = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGABRT, syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGXCPU,
	syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
}

// liftLimits raises the limits that our caller may have lowered, as far as he still could, and leaves no core.
func liftLimits() {
	for _, what := range []int{syscall.RLIMIT_FSIZE, syscall.RLIMIT_CPU, syscall.RLIMIT_AS, syscall.RLIMIT_DATA, syscall.RLIMIT_NOFILE} {
		var l syscall.Rlimit
		if syscall.Getrlimit(what, &l) == nil && l.Cur < l.Max {
			l.Cur = l.Max
			syscall.Setrlimit(what, &l)
		}
	}
	syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
