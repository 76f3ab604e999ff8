package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/dns"
)

func TestTableThatASocketServes(t *testing.T) {
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	unix := func(s string) net.Addr { return &net.UnixAddr{Name: s, Net: "unix"} }
	for _, tc := range []struct {
		name    string
		socket  passed
		address string
		want    bool
	}{
		{"its name", passed{name: "smtp", addr: tcp("127.0.0.1:25")}, "systemd:smtp", true},
		{"another name", passed{name: "smtp", addr: tcp("127.0.0.1:25")}, "systemd:other", false},
		{"its port", passed{addr: tcp("127.0.0.1:25")}, ":25", true},
		{"another port", passed{addr: tcp("127.0.0.1:25")}, ":26", false},
		{"its address", passed{addr: tcp("127.0.0.1:25")}, "127.0.0.1:25", true},
		{"another address", passed{addr: tcp("127.0.0.1:25")}, "127.0.0.2:25", false},
		{"all addresses", passed{addr: tcp("[::]:25")}, "192.0.2.1:25", true},
		{"its path", passed{addr: unix("/run/x")}, "/run/x", true},
		{"another path", passed{addr: unix("/run/x")}, "/run/y", false},
		{"no path", passed{addr: unix("")}, "", false},
	} {
		if got := tc.socket.serves(config.Listen{Address: tc.address}); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	for addr, want := range map[string]string{"127.0.0.1:25": "smtp", "[::]:587": "submission", "192.0.2.1:465": "submissions", "127.0.0.1:24": "smtp"} {
		if got := (passed{addr: tcp(addr)}).listen().Mode; got != want {
			t.Errorf("%s: mode %s", addr, got)
		}
	}
	if got := (passed{addr: unix("/run/x")}).listen().Mode; got != "local" {
		t.Errorf("mode %s", got)
	}
}

func TestTablesThatHold(t *testing.T) {
	smtp, local := config.Listen{Address: ":25", Mode: "smtp"}, config.Listen{Address: "/s", Mode: "local"}
	some := []passed{{}}
	for _, tc := range []struct {
		name   string
		conf   config.Config
		passed []passed
		want   string
	}{
		{"the system without tables", config.Config{}, nil, ":25 " + config.SystemSubmit},
		{"a user without tables", config.Config{User: true}, nil, userPort},
		{"the system has a place for its users", config.Config{Listen: []config.Listen{smtp}}, nil, ":25 " + config.SystemSubmit},
		{"and not two", config.Config{Listen: []config.Listen{smtp, local}}, nil, ":25 /s"},
		{"a user has none", config.Config{User: true, Listen: []config.Listen{smtp}}, nil, ":25"},
		{"sockets were passed", config.Config{}, some, ""},
		{"sockets were passed, and there are tables", config.Config{Listen: []config.Listen{smtp}}, some, ":25"},
	} {
		var got []string
		for _, l := range listens(tc.conf, tc.passed) {
			got = append(got, l.Address)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestLoopbackAddresses(t *testing.T) {
	for address, want := range map[string]string{
		":25":            "127.0.0.1:25 [::1]:25",
		"192.0.2.1:25":   "127.0.0.1:25 [::1]:25",
		"[::]:25":        "127.0.0.1:25 [::1]:25",
		"127.0.0.9:25":   "127.0.0.9:25",
		"[::1]:25":       "[::1]:25",
		"localhost:25":   "localhost:25",
		"a.example.:587": "127.0.0.1:587 [::1]:587",
	} {
		var got []string
		for _, p := range (&sockets{loopback: true}).tcpPlaces(config.Listen{Address: address}) {
			got = append(got, p.where)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestIdentify(t *testing.T) {
	if id, err := identify("root"); err != nil || id.uid != 0 || id.name != "root" {
		t.Errorf("root: %+v, %v", id, err)
	}
	if id, err := identify("0"); err != nil || id.name != "root" {
		t.Errorf("0: %+v, %v", id, err)
	}
	if id, err := identify("987654"); err != nil || id.uid != 987654 || id.gid != 987654 || len(id.groups) != 1 {
		t.Errorf("a number that nobody has: %+v, %v", id, err)
	}
	if _, err := identify("no such user"); err == nil {
		t.Error("a user that does not exist")
	}
	if _, err := mailUser("0"); err == nil {
		t.Error("root is the mail user")
	}
}

func TestOwnSpool(t *testing.T) {
	me := identity{name: "me", uid: os.Getuid(), gid: os.Getgid()}
	dir := filepath.Join(t.TempDir(), "a", "b", "spool")
	for range 2 { // made, and then found
		if err := me.ownSpool(dir); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o755} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	other := identity{name: "other", uid: me.uid + 1, gid: me.gid}
	if err := other.ownSpool(dir); err == nil || !strings.Contains(err.Error(), "run: chown -R other "+dir) {
		t.Errorf("error %v", err)
	}
}

func TestDNSLists(t *testing.T) {
	zone := dns.Zone(`
		2.0.0.127.good.example. A 127.0.0.2
		2.0.0.127.all.example.  A 127.0.0.2
		1.0.0.127.all.example.  A 127.0.0.2
		$SERVFAIL 2.0.0.127.down.example.
	`)
	conf := config.Default()
	conf.Smtpd.DNSLists = []string{"good.example", "all.example=127.0.0.2", "none.example*2", "down.example", "good.example=127.0.0.3*-1"}
	k := &checker{conf: conf, resolver: zone, now: time.Now()}
	want := []string{"ok: DNS list good.example answers", "fail: DNS list all.example lists everybody", "warn: DNS list none.example does not list 127.0.0.2", "warn: DNS list down.example: "}
	got := k.lists()
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i, f := range got {
		if !strings.HasPrefix(f.String(), want[i]) {
			t.Errorf("%s, want %s", f, want[i])
		}
	}
}

func TestMetricsAddress(t *testing.T) {
	for in, want := range map[string]string{"9125": "127.0.0.1:9125", ":9125": "127.0.0.1:9125", "[::1]:9125": "[::1]:9125", "0.0.0.0:1": "0.0.0.0:1"} {
		if got, err := metricsAddress(in); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestNoLog(t *testing.T) {
	here, nowhere := t.TempDir(), filepath.Join(t.TempDir(), "none")
	for _, tc := range []struct {
		log, device string
		lost        bool
	}{{"syslog", here, false}, {"syslog", nowhere, true}, {"/var/log/mail", nowhere, false}, {"stderr", nowhere, false}} {
		if why := noLog(tc.log, tc.device); (why != "") != tc.lost {
			t.Errorf("%s, %s: %q", tc.log, tc.device, why)
		}
	}
}
