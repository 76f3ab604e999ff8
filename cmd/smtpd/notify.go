package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells systemd how we are (sd_notify(3)). The zero value tells nobody.
type notifier struct {
	socket   string
	watchdog time.Duration // how often it wants to hear that we are alive; 0: not at all
}

// newNotifier takes what tells of systemd's socket out of the environment: our children are not who it waits for.
func newNotifier() notifier {
	n := notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err == nil && usec > 1 && n.socket != "" && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(key)
	}
	return n
}

// send sends a state. That nobody hears it is no reason to do anything else.
func (n notifier) send(state string) {
	if n.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	conn.Write([]byte(state))
}

func (n notifier) ready(text string) { n.send("READY=1\nSTATUS=" + text) }

// reloading tells that the configuration is read again, until ready is called.
func (n notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err == nil {
		n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
	}
}

func (n notifier) stopping() { n.send("STOPPING=1") }

// beat tells systemd at half the time that it allows that we are alive, for as long as we are.
func (n notifier) beat(done <-chan struct{}, alive func() bool) {
	if n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if alive() {
				n.send("WATCHDOG=1")
			}
		}
	}
}
