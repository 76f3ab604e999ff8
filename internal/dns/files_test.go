package dns

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseResolvConf(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing means this machine", "", "{[127.0.0.1:53] [] 5s 2}"},
		{"servers in order", "nameserver 192.0.2.1\nnameserver 2001:db8::1\n", "{[192.0.2.1:53 [2001:db8::1]:53] [] 5s 2}"},
		{"a server with a port", "nameserver [127.0.0.1]:5353\nnameserver 127.0.0.1:54\nnameserver [::1]:55", "{[127.0.0.1:54 [::1]:55] [] 5s 2}"},
		{"a scoped server", "nameserver fe80::1%lo", "{[[fe80::1%lo]:53] [] 5s 2}"},
		{"a server by name is ignored", "nameserver ns.example", "{[127.0.0.1:53] [] 5s 2}"},
		{"the last search or domain wins", "search a.example b.example.\ndomain C.example", "{[127.0.0.1:53] [c.example] 5s 2}"},
		{"the root and bad names are no search domains", "search . a..b ok.example", "{[127.0.0.1:53] [ok.example] 5s 2}"},
		{"options", "options timeout:2 attempts:3 rotate ndots:2", "{[127.0.0.1:53] [] 2s 3}"},
		{"options keep their bounds", "options timeout:0 attempts:99", "{[127.0.0.1:53] [] 1s 5}"},
		{"bad options are ignored", "options timeout: attempts:x timeout", "{[127.0.0.1:53] [] 5s 2}"},
		{"comments and carriage returns", "# a\r\n; b\r\nnameserver 192.0.2.1 # c\r\n", "{[192.0.2.1:53] [] 5s 2}"},
		{"five servers at most", strings.Repeat("nameserver 192.0.2.1\n", 9), "{[192.0.2.1:53 192.0.2.1:53 192.0.2.1:53 192.0.2.1:53 192.0.2.1:53] [] 5s 2}"},
	} {
		conf := parseResolvConf([]byte(c.text))
		got := fmt.Sprintf("{%v %v %v %d}", conf.servers, conf.search, conf.timeout, conf.attempts)
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestParseHosts(t *testing.T) {
	hosts := parseHosts([]byte("127.0.0.1 localhost # me\n192.0.2.1\tMail.example. mail\n2001:db8::1 mail\nnot an address\n192.0.2.2\n192.0.2.3 a/b"))
	for name, want := range map[string]string{
		"localhost": "[127.0.0.1]", "mail.example": "[192.0.2.1]", "mail": "[192.0.2.1 2001:db8::1]", "an": "[]", "a/b": "[]",
	} {
		if got := fmt.Sprint(hosts.addrs[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for addr, want := range map[string]string{
		"127.0.0.1": "[localhost]", "192.0.2.1": "[mail.example mail]", "2001:db8::1": "[mail]", "192.0.2.2": "[]", "192.0.2.3": "[]",
	} {
		if got := fmt.Sprint(hosts.names[netip.MustParseAddr(addr)]); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestTheHostsFileComesFirstAndItsChangesAreSeen(t *testing.T) {
	dir := t.TempDir()
	hosts, conf := filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	write(t, hosts, "192.0.2.1 mail.example")
	write(t, conf, "nameserver [::1]:1\noptions timeout:1 attempts:1") // nobody is there
	r, err := system(hosts, conf)
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.Addrs(context.Background(), "MAIL.example")
	if got := outcome(list, err); got != "192.0.2.1" {
		t.Error(got)
	}
	write(t, hosts, "192.0.2.22 mail.example")
	if list, err = r.Addrs(context.Background(), "mail.example"); outcome(list, err) != "192.0.2.22" {
		t.Errorf("after the change: %v, %v", list, err)
	}
	if err := os.Remove(hosts); err != nil {
		t.Fatal(err)
	}
	if list, err = r.Addrs(context.Background(), "mail.example"); err == nil {
		t.Errorf("after the file's end: %v", list)
	}
}

func TestSystem(t *testing.T) {
	dir := t.TempDir()
	if _, err := system(filepath.Join(dir, "none"), filepath.Join(dir, "none")); err != nil {
		t.Errorf("missing files: %v", err)
	}
	if _, err := system(filepath.Join(dir, "none"), dir); err == nil {
		t.Error("a directory was read as resolv.conf")
	}
	r, err := System()
	if err != nil {
		t.Fatal(err)
	}
	if list, err := r.Addrs(context.Background(), "localhost"); err != nil || len(list) != 2 {
		t.Errorf("localhost: %v, %v", list, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nsearch a.example\noptions timeout:1 attempts:3\n"))
	f.Add([]byte("nameserver fe80::1%\xff\x00\ndomain \x80"))
	f.Fuzz(func(t *testing.T, text []byte) {
		conf := parseResolvConf(text)
		if n := len(conf.servers); n == 0 || n > maxServers || len(conf.search) > maxSearch {
			t.Fatalf("%d servers, %d search domains", n, len(conf.search))
		}
		if conf.timeout < time.Second || conf.timeout > 30*time.Second || conf.attempts < 1 || conf.attempts > 5 {
			t.Fatalf("%v, %d", conf.timeout, conf.attempts)
		}
	})
}

func FuzzParseHosts(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost # me\n::1 ip6-localhost\n"))
	f.Add([]byte("fe80::1%lo a b\r\n\xff\xfe c"))
	f.Fuzz(func(t *testing.T, text []byte) {
		hosts := parseHosts(text)
		for addr, names := range hosts.names {
			if len(names) == 0 || len(names) > maxNames {
				t.Fatalf("%v: %q", addr, names)
			}
		}
		for name, addrs := range hosts.addrs {
			if !plainName(name) || name != strings.ToLower(name) || len(addrs) == 0 || len(addrs) > MaxAddrs {
				t.Fatalf("%q: %v", name, addrs)
			}
			for _, a := range addrs {
				if !a.IsValid() || a.Is4In6() {
					t.Fatalf("%q: %v", name, []netip.Addr(addrs))
				}
			}
		}
	})
}
