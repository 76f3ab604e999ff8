package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/smtpd"
)

// Each setting reaches the server, whatever it is.
func TestSettingsReachTheServer(t *testing.T) {
	for _, tt := range []struct {
		text string
		got  func(*smtpd.Server) any
		want any
	}{
		{`hostname = "mx.test.example"`, func(s *smtpd.Server) any { return s.Hostname }, "mx.test.example"},
		{`origin = "origin.example"`, func(s *smtpd.Server) any { return s.Origin }, "origin.example"},
		{`domains = ["ours.example"]`, func(s *smtpd.Server) any { return s.IsLocal("ours.example") && !s.IsLocal("theirs.example") }, true},
		{`message_size_limit = 4711`, func(s *smtpd.Server) any { return s.SizeLimit }, int64(4711)},
		{`message_size_limit = 0`, func(s *smtpd.Server) any { return s.SizeLimit }, int64(0)},
		{`hop_limit = 47`, func(s *smtpd.Server) any { return s.HopLimit }, 47},
		{"[smtpd]\nrecipients = 471", func(s *smtpd.Server) any { return s.Recipients }, 471},
		{"[smtpd]\ntimeout = \"47s\"", func(s *smtpd.Server) any { return s.Timeout }, 47 * time.Second},
		{"[smtpd]\nsession_time = \"47m\"", func(s *smtpd.Server) any { return s.Lifetime }, 47 * time.Minute},
		{"[smtpd]\ngreeting_delay = \"7s\"", func(s *smtpd.Server) any { return s.Delay }, 7 * time.Second},
		{"[smtpd]\ngreeting_delay = \"0s\"", func(s *smtpd.Server) any { return s.Delay }, time.Duration(0)},
		{"[smtpd]\netrn = \"off\"", func(s *smtpd.Server) any { return s.ETRN }, false},
		{"[smtpd]\netrn = \"trusted\"", func(s *smtpd.Server) any { return s.ETRN }, true},
		{"[smtpd]\netrn = \"all\"", func(s *smtpd.Server) any { return s.ETRN }, true},
		{"[smtpd]\nvrfy = \"off\"", func(s *smtpd.Server) any { return !s.VRFY && s.EXPN }, true},
		{"[smtpd]\nexpn = \"off\"", func(s *smtpd.Server) any { return s.VRFY && !s.EXPN }, true},
		{"[smtpd]\nxclient = [\"192.0.2.0/24\"]", func(s *smtpd.Server) any { return networks(t, "192.0.2.0/24", s.XClient) }, true},
		{"[smtpd]\nproxies = [\"198.51.100.7\"]", func(s *smtpd.Server) any { return networks(t, "198.51.100.7", s.Proxies) }, true},
		{"", func(s *smtpd.Server) any { return len(s.XClient) + len(s.Proxies) }, 0},
		{"", func(s *smtpd.Server) any { return s.User(0).Name }, "root"},
	} {
		path := filepath.Join(t.TempDir(), "postrider.toml")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		conf, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newServer(conf, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.got(s); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.text, got, tt.want)
		}
	}
}

// networks tells whether a list has this one network.
func networks(t *testing.T, want string, got any) bool {
	t.Helper()
	list, err := config.Prefixes([]string{want})
	if err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(got, list)
}
