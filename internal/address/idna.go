package address

import "golang.org/x/net/idna"

// toASCII maps and checks an internationalised domain as one does before a DNS query (UTS 46, not transitional).
func toASCII(d string) (string, error) { return idna.Lookup.ToASCII(d) }
