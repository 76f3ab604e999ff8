package access

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"postrider/internal/address"
)

const sample = `
# The examples of the manual and more.
Connect:192.168            RELAY
Connect:192.168.7          SKIP
Connect:192.168.7.9        REJECT
Connect:2001:db8::/32      OK
Connect:IPv6:2001:db8:bad  ERROR:5.7.1:550 bad network
Connect:[127.0.0.3]        DISCARD
Connect:mail.example.com   OK
Connect:example.com        REJECT
Connect:quarantine.example	QUARANTINE:suspicious host
198.51.100.0/24	reject
203.0.113                  "550 5.7.9 no"
From:spammer@aol.example   REJECT
From:free.stealth.mailer@  550 Spam not accepted
another.source.of.spam     REJECT
okay.cyberspammer.example  OK
cyberspammer.example       ERROR:"550 We don't accept mail from spammers"
From:friend@cyberspammer.example  OK
.below.example             ERROR:4.2.2:"450 mailbox full"
From:relay.example         RELAY
To:relay.example           RELAY
To:user@relay.example      REJECT
To:sub.relay.example       SKIP
To:old@                    ERROR:5.1.1:550 gone away
To:[192.0.2.1]             RELAY
To:bücher.example          DISCARD
To:"a@b"@example.org       REJECT
To:"dot."@example.org      REJECT
To:plus+*@example.org      REJECT
To:plus+ok@example.org     OK
To:"c@d+*"@example.org     REJECT
From:star+*@               REJECT
To:"back\\"@example.org    REJECT
both.example               REJECT
To:both.example            OK
`

func parse(t testing.TB, text string) *Table {
	t.Helper()
	table, err := Parse("access", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// told is a rule as text.
func told(r Rule) string {
	s := [...]string{"", "OK", "RELAY", "REJECT", "DISCARD", "QUARANTINE"}[r.Action]
	if r.Status != nil {
		s = r.Status.Diagnostic()
	}
	if r.Text != "" {
		s += ":" + r.Text
	}
	if r.Key != "" {
		s += " by " + r.Key
	}
	return s
}

func TestClient(t *testing.T) {
	table := parse(t, sample)
	for _, c := range []struct{ name, host, addr, want string }{
		{"leading numbers are a network", "", "192.168.1.1", "RELAY by Connect:192.168"},
		{"SKIP ends the search", "", "192.168.7.1", ""},
		{"the most specific network counts", "", "192.168.7.9", "REJECT by Connect:192.168.7.9"},
		{"a mapped address is the address", "", "::ffff:192.168.1.1", "RELAY by Connect:192.168"},
		{"IPv6 with a length", "", "2001:db8:1::1", "OK by Connect:2001:db8::/32"},
		{"leading numbers of IPv6", "", "2001:db8:bad::1", "550 5.7.1 bad network by Connect:IPv6:2001:db8:bad"},
		{"an address in brackets", "", "127.0.0.3", "DISCARD by Connect:[127.0.0.3]"},
		{"a network without a tag", "", "198.51.100.77", "REJECT by 198.51.100.0/24"},
		{"a quoted reply with its enhanced code", "", "203.0.113.1", "550 5.7.9 no by 203.0.113"},
		{"a name before its domain", "mail.example.com", "192.0.2.9", "OK by Connect:mail.example.com"},
		{"a domain is all below it", "a.b.example.com", "192.0.2.9", "REJECT by Connect:example.com"},
		{"a domain is itself", "example.com", "192.0.2.9", "REJECT by Connect:example.com"},
		{"the end of a name is no domain", "notexample.com", "192.0.2.9", ""},
		{"a name counts before the address", "example.com", "192.168.1.1", "REJECT by Connect:example.com"},
		{"an address when the name says nothing", "host.example.org", "192.168.1.1", "RELAY by Connect:192.168"},
		{"quarantine has a reason", "quarantine.example", "192.0.2.9", "QUARANTINE:suspicious host by Connect:quarantine.example"},
		{"below a domain", "x.below.example", "192.0.2.9", "450 4.2.2 mailbox full by .below.example"},
		{"a domain is not below itself", "below.example", "192.0.2.9", ""},
		{"lines for senders say nothing of clients", "relay.example", "192.0.2.9", ""},
		{"nothing said", "", "192.0.2.9", ""},
	} {
		if got := told(table.Client(c.host, netip.MustParseAddr(c.addr))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := table.Client("", netip.Addr{}); got != (Rule{}) {
		t.Errorf("no address: %v", got)
	}
}

func TestSenderAndRecipient(t *testing.T) {
	table := parse(t, sample)
	for _, c := range []struct{ name, to, addr, want string }{
		{"an address", "from", "Spammer@AOL.example", "REJECT by From:spammer@aol.example"},
		{"its detail", "from", "spammer+x@aol.example", "REJECT by From:spammer@aol.example"},
		{"another user there", "from", "other@aol.example", ""},
		{"a user anywhere", "from", "FREE.STEALTH.MAILER@any.example", "550 5.7.1 Spam not accepted by From:free.stealth.mailer@"},
		{"a user anywhere with detail", "from", "free.stealth.mailer+1@any.example", "550 5.7.1 Spam not accepted by From:free.stealth.mailer@"},
		{"a bare user", "from", "free.stealth.mailer", "550 5.7.1 Spam not accepted by From:free.stealth.mailer@"},
		{"a domain without a tag", "from", "x@host.another.source.of.spam", "REJECT by another.source.of.spam"},
		{"a domain below another", "from", "x@okay.cyberspammer.example", "OK by okay.cyberspammer.example"},
		{"quotes around the reply", "from", "x@cyberspammer.example", "550 5.7.1 We don't accept mail from spammers by cyberspammer.example"},
		{"an address before its domain", "from", "friend@cyberspammer.example", "OK by From:friend@cyberspammer.example"},
		{"RELAY of a sender relays for nobody", "from", "x@relay.example", "OK by From:relay.example"},
		{"without a tag it is for recipients too", "remote", "x@cyberspammer.example", "550 5.7.1 We don't accept mail from spammers by cyberspammer.example"},
		{"the tagged line counts", "remote", "x@both.example", "OK by To:both.example"},
		{"the other tag's does not", "from", "x@both.example", "REJECT by both.example"},
		{"a recipient's domain", "remote", "x@relay.example", "RELAY by To:relay.example"},
		{"and all below it", "remote", "x@deep.down.relay.example", "RELAY by To:relay.example"},
		{"but what is skipped", "remote", "x@sub.relay.example", ""},
		{"a recipient of such a domain", "remote", "user@relay.example", "REJECT by To:user@relay.example"},
		{"a user of ours", "local", "old@ours.example", "550 5.1.1 gone away by To:old@"},
		{"a user elsewhere", "remote", "old@theirs.example", ""},
		{"a bare recipient", "local", "old", "550 5.1.1 gone away by To:old@"},
		{"an address literal", "remote", "x@[192.0.2.1]", "RELAY by To:[192.0.2.1]"},
		{"another literal", "remote", "x@[192.0.2.2]", ""},
		{"the A-labels of a domain", "remote", "x@xn--bcher-kva.example", "DISCARD by To:bücher.example"},
		{"its U-labels", "remote", "x@Bücher.example", "DISCARD by To:bücher.example"},
		{"a quoted localpart", "remote", `"a@b"@example.org`, `REJECT by To:"a@b"@example.org`},
		{"a quoted detail", "from", `"spammer+ x"@aol.example`, "REJECT by From:spammer@aol.example"},
		{"a quoted detail of a recipient", "local", `"Old+ x"@ours.example`, "550 5.1.1 gone away by To:old@"},
		{"quotes that need not be", "from", `"spammer+x"@aol.example`, "REJECT by From:spammer@aol.example"},
		{"a user in quotes with detail", "remote", `"a@b+\"x"@example.org`, `REJECT by To:"a@b"@example.org`},
		{"a dot before the detail", "remote", `dot.+x@example.org`, `REJECT by To:"dot."@example.org`},
		{"a backslash before the detail", "remote", `"back\\+x"@example.org`, `REJECT by To:"back\\"@example.org`},
		{"any detail", "remote", "Plus+x@example.org", "REJECT by To:plus+*@example.org"},
		{"any detail in quotes", "remote", `"plus+ x"@example.org`, "REJECT by To:plus+*@example.org"},
		{"one detail counts before any", "remote", "plus+ok@example.org", "OK by To:plus+ok@example.org"},
		{"no detail is not any", "remote", "plus@example.org", ""},
		{"any detail of a user in quotes", "remote", `"c@d+x"@example.org`, `REJECT by To:"c@d+*"@example.org`},
		{"any detail at any domain", "from", "star+x@any.example", "REJECT by From:star+*@"},
		{"any detail of a bare user", "from", "star+x", "REJECT by From:star+*@"},
		{"nothing but detail", "from", `"+spammer"@aol.example`, ""},
	} {
		a, err := address.Parse(c.addr)
		if err != nil {
			t.Fatal(err)
		}
		var r Rule
		if c.to == "from" {
			r = table.Sender(a)
		} else {
			r = table.Recipient(a, c.to == "local")
		}
		if got := told(r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheTaggedLineCountsForOneNetwork(t *testing.T) {
	table := parse(t, "192.0.2 REJECT\nConnect:192.0.2 OK\nConnect:198.51.100 OK\n198.51.100.0/25 REJECT\n")
	for addr, want := range map[string]string{"192.0.2.1": "OK by Connect:192.0.2", "198.51.100.1": "REJECT by 198.51.100.0/25", "198.51.100.200": "OK by Connect:198.51.100"} {
		if got := told(table.Client("", netip.MustParseAddr(addr))); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	table := parse(t, "ClientRate: 10\nClientRate:10.0.0.1 0\nClientConn:IPv6:2001:db8 3\n")
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.1", "{10 true} true, {0 false} false"},
		{"10.0.0.1", "{0 false} true, {0 false} false"},
		{"2001:db8::1", "{10 true} true, {3 false} true"},
	} {
		rate, ok := table.Rate(netip.MustParseAddr(c.addr))
		conn, ok2 := table.Sessions(netip.MustParseAddr(c.addr))
		if got := fmt.Sprint(rate, " ", ok, ", ", conn, " ", ok2); got != c.want {
			t.Errorf("%s: %s, want %s", c.addr, got, c.want)
		}
	}
}

func TestAnEmptyTableSaysNothing(t *testing.T) {
	for _, table := range []*Table{nil, parse(t, ""), parse(t, "# x\n\n")} {
		a, _ := address.Parse("a@b.example")
		if table.Client("b.example", netip.MustParseAddr("192.0.2.1")) != (Rule{}) || table.Sender(a) != (Rule{}) || table.Recipient(a, true) != (Rule{}) {
			t.Error("it says something")
		}
		if _, ok := table.Rate(netip.MustParseAddr("192.0.2.1")); ok {
			t.Error("it limits")
		}
	}
}

func TestABrokenLineIsAnError(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no value", "\nexample.org", "access:2: example.org has no value"},
		{"an unknown tag", "Form:a@b.example OK", "access:1: Form:a@b.example: there is no tag Form"},
		{"an unknown value", "a.example OKAY", "access:1: a.example: OKAY is no value: one of OK, RELAY, REJECT, DISCARD, SKIP, ERROR:code text, QUARANTINE:text"},
		{"something behind a word", "a.example OK or not", "access:1: a.example: nothing may follow OK"},
		{"a reply that is none", "a.example 250 fine", `access:1: a.example: an error needs a reply code of 400 to 599, as in "550 go away"`},
		{"an error without a code", "a.example ERROR:go away", `access:1: a.example: an error needs a reply code of 400 to 599, as in "550 go away"`},
		{"codes that disagree", "a.example ERROR:4.7.1:550 no", "access:1: a.example: the reply 550 and the enhanced code 4.7.1 disagree"},
		{"codes in the text that disagree", "a.example 450 5.7.1 no", "access:1: a.example: the reply 450 and the enhanced code 5.7.1 disagree"},
		{"an enhanced code of success", "a.example ERROR:2.0.0", "access:1: a.example: the reply 0 and the enhanced code 2.0.0 disagree"},
		{"quarantine without a reason", "a.example QUARANTINE:", "access:1: a.example: QUARANTINE: needs a reason"},
		{"no domain", "a..example OK", "access:1: a..example: neither an address, a domain nor a network"},
		{"a range of addresses", "Connect:192.0.2.1-5 REJECT", "access:1: Connect:192.0.2.1-5: neither an address, a domain nor a network"},
		{"a range below a domain", ".0.2.1-5 REJECT", "access:1: .0.2.1-5: neither an address, a domain nor a network"},
		{"no address", "a@@b.example OK", "access:1: a@@b.example: more than one @"},
		{"an address and an @", "a@b@ OK", "access:1: a@b@: neither an address, a domain nor a network"},
		{"numbers that are too large", "256.1 OK", "access:1: 256.1: not a network"},
		{"too many numbers", "1.2.3.4.5 OK", "access:1: 1.2.3.4.5: not a network"},
		{"a number with a zero in front", "192.0.02 OK", "access:1: 192.0.02: not a network"},
		{"an impossible length", "192.0.2.0/33 OK", "access:1: 192.0.2.0/33: not a network"},
		{"an address with a length", "192.0.2.1/24 OK", "access:1: 192.0.2.1/24: the network of this address is 192.0.2.0/24"},
		{"a scoped address", "IPv6:fe80::1%eth0 OK", "access:1: IPv6:fe80::1%eth0: not a network"},
		{"too many numbers of IPv6", "IPv6:1:2:3:4:5:6:7:8:9 OK", "access:1: IPv6:1:2:3:4:5:6:7:8:9: not a network"},
		{"a literal that is a network", "[192.0.2] OK", "access:1: [192.0.2]: not a network"},
		{"a literal without its end", "[192.0.2.1 OK", "access:1: [192.0.2.1: not a network"},
		{"a key twice", "a.example OK\nA.example REJECT", "access:2: A.example has another value further up"},
		{"a network twice", "10 OK\n10.0.0.0/8 550 no", "access:2: 10.0.0.0/8 has another value further up"},
		{"SKIP of an address", "a@b.example SKIP", "access:1: a@b.example: SKIP is for domains and networks; OK lets an address pass"},
		{"a rate that is no number", "ClientRate:10 many", "access:1: ClientRate:10 needs a number"},
		{"a rate of a domain", "ClientRate:a.example 1", "access:1: ClientRate:a.example is for addresses and networks"},
		{"a rate twice", "ClientRate: 1\nClientRate: 2", "access:2: ClientRate: has another value further up"},
		{"a line too long", "a.example 550 " + strings.Repeat("x", 2048), "access:1: the line is longer than 2048 bytes"},
		{"bytes of control", "a\x01b OK", `access:1: a\x01b: neither an address, a domain nor a network`},
	} {
		table, err := Parse("access", []byte(c.text))
		if err == nil || err.Error() != c.want || table != nil {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
	}
	_, err := Parse("access", []byte(strings.Repeat("x\n", 100)))
	if n := strings.Count(err.Error(), "\n") + 1; n != 10 {
		t.Errorf("%d errors are told of", n)
	}
}

func TestNotes(t *testing.T) {
	table := parse(t, "Spam:a@b.example FRIEND\nTry_TLS:c.example NO\nFrom:d.example RELAY\nd.example RELAY\nD.example RELAY # again\n"+strings.Repeat("GreetPause: 5000\n", 100))
	want := []string{
		"access:1: Spam:a@b.example means nothing here", "access:2: Try_TLS:c.example means nothing here",
		"access:3: From:d.example: a sender proves nothing, so RELAY is OK here and relays for nobody",
		"access:6: GreetPause: means nothing here",
	}
	for i, w := range want {
		if table.Notes()[i] != w {
			t.Errorf("%q, want %q", table.Notes()[i], w)
		}
	}
	if len(table.Notes()) != maxNotes || table.Len() != 2 {
		t.Errorf("%d notes, %d lines", len(table.Notes()), table.Len())
	}
}

func TestReplies(t *testing.T) {
	for value, want := range map[string]string{
		"550 no": "550 5.7.1 no", "451 later": "451 4.7.1 later", "550": "550 5.7.1 access denied", "550 5.1.1 who": "550 5.1.1 who",
		"ERROR:550 no": "550 5.7.1 no", "error:5.2.1:550 no": "550 5.2.1 no", `ERROR:5.2.1:"550 no: not you"`: "550 5.2.1 no: not you",
		`ERROR:"5.2.1:550 no"`: "550 5.2.1 no", "ERROR:5.2.1 no": "550 5.2.1 no", "ERROR:4.2.1 later": "451 4.2.1 later",
		"ERROR:5.7.1:550 5.7.1 twice": "550 5.7.1 twice", `"421 4.3.2 bye"`: "421 4.3.2 bye", "550\ttab": "550 5.7.1 tab",
		"550 a\x07b": `550 5.7.1 a\x07b`,
	} {
		r, _, err := parseValue(value)
		if err != nil {
			t.Errorf("%s: %v", value, err)
		} else if r.Status.Diagnostic() != want {
			t.Errorf("%s: %s, want %s", value, r.Status.Diagnostic(), want)
		}
	}
}
