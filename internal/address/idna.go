package address

// toASCII is where IDNA maps and checks a domain that is more than ASCII. This build links no IDNA tables, so it
// refuses all of them: a domain that cannot be compared must not be accepted.
func toASCII(string) (string, error) { return "", errDomainBad }
