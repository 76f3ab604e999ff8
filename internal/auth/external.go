package auth

// certified are the names that the client's certificate gives it: the mail addresses in it, or else its common name. A
// name that is not among the users, where there is a file of them, is none.
func (a *Authenticator) certified(ch Channel) (names []string) {
	if !a.clientCA || ch.TLS == nil || len(ch.TLS.VerifiedChains) == 0 || len(ch.TLS.VerifiedChains[0]) == 0 {
		return nil
	}
	certificate := ch.TLS.VerifiedChains[0][0]
	candidates := certificate.EmailAddresses
	if len(candidates) == 0 {
		candidates = []string{certificate.Subject.CommonName}
	}
	for _, candidate := range candidates {
		name, err := prepName(candidate)
		if err != nil {
			continue
		}
		if a.file != nil {
			if account := a.file.current().byName[name]; account == nil || account.locked {
				continue
			}
		}
		names = append(names, name)
	}
	return names
}

// external is EXTERNAL (RFC 4422 appendix A): the client is whom its certificate names. If that is several, it may say
// which.
func (a *Authenticator) external(ch Channel) Exchange {
	x := &exchange{}
	x.next = clientFirst(func(response []byte) ([]byte, step, error) {
		names := a.certified(ch)
		identity := string(response)
		x.claims(identity)
		for _, name := range names {
			if identity == "" || sameName(identity, name) {
				x.login = name
				return nil, nil, nil
			}
		}
		return nil, nil, failed(errIdentity)
	})
	return x
}
