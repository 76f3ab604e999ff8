package smtp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// agentReplies answers one transaction: LHLO, MAIL, the replies given for its recipients, and 503 to DATA.
func agentReplies(t *testing.T, replies ...string) Target {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		lines := bufio.NewScanner(conn)
		say := func(s string) { _, _ = io.WriteString(conn, s); lines.Scan() }
		say("220 local\r\n")
		say("250-local\r\n250-PIPELINING\r\n250 XLOCAL\r\n")
		say("250 2.1.0 ok\r\n")
		for _, r := range replies {
			say(r)
		}
		say("503 5.5.1 no recipients\r\n")
	}()
	return Target{Name: "local", Network: "unix", Address: l.Addr().String(), LMTP: true, Agent: true}
}

// named is a 251 for n members of a size.
func named(n, size int) string {
	var b strings.Builder
	for i := range n {
		sep := '-'
		if i == n-1 {
			sep = ' '
		}
		m := fmt.Sprintf("%d ", i)
		fmt.Fprintf(&b, "251%c2.1.5 %s\r\n", sep, appendXtext(nil, m+strings.Repeat("\xff", size-len(m))))
	}
	return b.String()
}

func TestCapsOnMembers(t *testing.T) {
	for _, c := range []struct {
		name    string
		replies []string
		want    string // outcome and number of members, for each recipient
	}{
		{"as many and as long as they may be", []string{named(maxMembers, maxMember)}, "251 1000"},
		{"one more", []string{named(maxMembers+1, 9)}, "451 0"},
		{"one byte more", []string{named(2, maxMember+1)}, "451 0"},
		{"too many at once are for another transaction", []string{named(1000, 900), named(1000, 900), named(2, 9)}, "251 1000 452 0 251 2"},
	} {
		s, err := Dial(context.Background(), agentReplies(t, c.replies...), Options{Timeouts: allTimeouts(5 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		m := Message{Body: section(defaultMail)}
		for range c.replies {
			m.Rcpts = append(m.Rcpts, Rcpt{Address: "b@mx.test"})
		}
		res, _ := s.Send(context.Background(), m)
		var got []string
		for i, st := range res.Rcpts {
			n := 0
			if res.Members != nil {
				n = len(res.Members[i])
			}
			got = append(got, fmt.Sprint(st.Reply(), " ", n))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzMembers(f *testing.F) {
	f.Add("2.1.5 a@b\n2.1.5 |/bin/p+20x")
	f.Add("2.1.5 +")
	f.Add("2.1.5 \\c\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseMembers(text)
		if err != nil {
			return
		}
		for _, m := range list {
			if strings.ContainsAny(m, "\r\n\x00") || m == "" || len(m) > maxMember {
				t.Fatalf("%q", m)
			}
		}
	})
}

func FuzzXtext(f *testing.F) {
	f.Add("|/bin/p -a+b=c \xff\t")
	f.Fuzz(func(t *testing.T, s string) {
		b := string(appendXtext(nil, s))
		if s != "" && !tokenSafe(b) || !ascii(b) {
			t.Fatalf("%q", b)
		}
		if got, ok := readXtext(b); !ok || got != s {
			t.Fatalf("%q: %q", b, got)
		}
		if plain, ok := readXtext(s); ok && len(plain) > len(s) {
			t.Fatalf("%q grows", s)
		}
	})
}
