package auth

import (
	"strings"
	"testing"
)

// The hashes are those of the specification of SHA-crypt, of crypt_blowfish and of Argon2's reference implementation.
func TestPublishedHashes(t *testing.T) {
	for _, c := range []struct{ password, hash string }{
		{"Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"This is just a test", "$5$rounds=5000$toolongsaltstring$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"},
		{"a very much longer text to encrypt.  This one even stretches over morethan one line.", "$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"},
		{"the minimum number is still observed", "$5$rounds=10$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC"},
		{"", "$5$$3c2QQ0KjIU1OLtB29cl8Fplc2WN7X89bnoEjaR7tWu."},
		{"Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."},
		{"a very much longer text to encrypt.  This one even stretches over morethan one line.", "$6$rounds=1400$asaltof16chars..$A04YeHZ50HBLMQH3ql.6UqosFpgQyaqQtUr5vzoZ0AaVe5VfbmQNEPphPGb/K49lN2OJ/0SlclayQg0bhzN0/."},
		{"", "$6$$/chiBau24cE26QQVW3IfIe68Xu5.JQ4E8Ie7lcRLwqxO5cxGuBhqF2HmTL.zWJ9zjChg3yJYFXeGBQ2y3Ba1d1"},
		{"U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"},
		{"Aa@\xaa 0123456789", "$2y$04$abcdefghijklmnopqrstuu8J3SjO9LQpndv9O3HW/e0PB1xKk.PJu"},
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
		{"password", "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8"},
		// The user of RFC 7677 section 3.
		{"pencil", "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="},
	} {
		h, err := parseHash(c.hash)
		if err != nil {
			t.Errorf("%s: %v", c.hash, err)
			continue
		}
		if !h.matches(c.password) {
			t.Errorf("%s is not of %q", c.hash, c.password)
		}
		if h.matches(c.password + "x") {
			t.Errorf("%s is of something else as well", c.hash)
		}
		if s, ok := h.(interface{ String() string }); ok && s.String() != strings.TrimPrefix(c.hash, "{SCRAM-SHA-256}") {
			t.Errorf("%s is written as %s", c.hash, s)
		}
	}
}

func TestHashesWithAScheme(t *testing.T) {
	const sha512 = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
	const bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"
	const argon = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for _, c := range []struct{ hash, scheme string }{
		{"{CRYPT}" + sha512, "SHA512-CRYPT"},
		{"{crypt}" + bcrypt, "BLF-CRYPT"},
		{"{SHA512-CRYPT}" + sha512, "SHA512-CRYPT"},
		{"{BLF-CRYPT}" + bcrypt, "BLF-CRYPT"},
		{"{ARGON2ID}" + argon, "ARGON2ID"},
		{argon, "ARGON2ID"},
	} {
		h, err := parseHash(c.hash)
		if err != nil || h.scheme() != c.scheme {
			t.Errorf("%s: %v, %v", c.hash, h, err)
		}
	}
}

func TestRefusedHashes(t *testing.T) {
	sum43, sum86 := strings.Repeat("a", 43), strings.Repeat("a", 86)
	for _, c := range []struct {
		name, hash string
		want       string
	}{
		{"a password in clear", "{PLAIN}secret", errClear.Error()},
		{"a password in clear by its other name", "{cleartext}secret", errClear.Error()},
		{"a scheme without an end", "{PLAIN", errHash.Error()},
		{"an unsupported scheme", "{SSHA}abcd", `unsupported scheme of hash: "SSHA"`},
		{"a hash in hexadecimal", "{ARGON2ID.HEX}abcd", `unsupported scheme of hash: "ARGON2ID.HEX"`},
		{"yescrypt", "$y$j9T$salt$sum", `unsupported scheme of hash: "$y$"`},
		{"MD5-crypt", "$1$salt$sum", `unsupported scheme of hash: "$1$"`},
		{"bcrypt with the old fault", "$2x$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", `unsupported scheme of hash: "$2x$"`},
		{"DES-crypt", "rl.3StKT.4T8M", errHash.Error()},
		{"a word", "secret", errHash.Error()},
		{"a hash of another kind than its scheme", "{BLF-CRYPT}$5$saltstring$" + sum43, errHash.Error()},
		{"bcrypt cut off", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp", errHash.Error()},
		{"bcrypt that takes years", "$2a$31$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "the hash's cost 31 is more than 16"},
		{"SHA-crypt that takes hours", "$5$rounds=999999999$saltstring$" + sum43, errHash.Error()},
		{"SHA-crypt with negative rounds", "$5$rounds=-1$saltstring$" + sum43, errHash.Error()},
		{"SHA-crypt with a sum of the other kind", "$5$saltstring$" + sum86, errHash.Error()},
		{"SHA-crypt with a strange letter", "$6$saltstring$" + sum86[1:] + "=", errHash.Error()},
		{"SHA-crypt without anything", "$6", errHash.Error()},
		{"SHA-crypt without a salt", "$6$" + sum86, errHash.Error()},
		{"Argon2 of an old version", "$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", errHash.Error()},
		{"Argon2 with all the memory there is", "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", errHash.Error()},
		{"Argon2 without threads", "$argon2id$v=19$m=256,t=2,p=0$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", errHash.Error()},
		{"Argon2 with a short sum", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65", errHash.Error()},
		{"keys of SCRAM with few iterations", "{SCRAM-SHA-256}1,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "keys of SCRAM with less than 4096 iterations"},
		{"keys of SCRAM that are short", "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,AAAA,AAAA", errHash.Error()},
	} {
		h, err := parseHash(c.hash)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, %v", c.name, h, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the password: %v", c.name, err)
		}
	}
}

func TestWhatWeHashWeRead(t *testing.T) {
	h, err := parseHash("{ARGON2ID}" + newArgon("schön").String())
	if err != nil || !h.matches("schön") || h.matches("schon") {
		t.Errorf("%v, %v", h, err)
	}
	k, err := newKeys("schön")
	if err != nil {
		t.Fatal(err)
	}
	h, err = parseHash("{SCRAM-SHA-256}" + k.String())
	if err != nil || !h.matches("schön") || h.matches("schon") {
		t.Errorf("%v, %v", h, err)
	}
	if absent.matches("") {
		t.Error("the hash of nobody is somebody's")
	}
}

func FuzzAccount(f *testing.F) {
	for _, s := range []string{
		"", "# a comment", "alice:*", "bob:!", "carl:$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
		"dora:{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4:{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"erna:{CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK:1000:1000::/home/erna::",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		a, err := parseAccount(line)
		if err != nil || a == nil {
			return
		}
		if again, err := prepName(a.name); err != nil || again != a.name {
			t.Errorf("name %q is not as it is looked up", a.name)
		}
		if a.keys != nil {
			if k, err := parseKeys(a.keys.String()); err != nil || k.(keys).String() != a.keys.String() {
				t.Errorf("keys %s: %v", a.keys, err)
			}
		}
		if h, ok := a.password.(argonHash); ok {
			if again, err := parseHash(h.String()); err != nil || again.(argonHash).String() != h.String() {
				t.Errorf("hash %s: %v", h, err)
			}
		}
	})
}
