package server

import (
	"errors"
	"strings"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/local"
	"postrider/internal/status"
)

// recipient is one that was accepted.
type recipient struct {
	account Account
	act     int // actMailbox or actMember
	member  string
	origin  local.Origin

	delivery local.Delivery
}

// decision is what becomes of a RCPT: one of the three is set.
type decision struct {
	rcpt    *recipient
	instead []string // where the user's .forward sends his mail
	refusal *status.Status
}

func refusal(s *status.Status) decision { return decision{refusal: s} }

func temporary(text string, err error) decision {
	return refusal(status.New(op, 451, status.Code{4, 3, 0}, text, err))
}

// misconfigured refuses what somebody must put right.
func misconfigured(text string, err error) decision {
	return refusal(status.New(op, 451, status.Code{4, 3, 5}, text, err))
}

// decide finds out where mail for a recipient goes.
func (s *Server) decide(id string, w wish) decision {
	d := s.choose(id, w)
	if d.refusal != nil && d.refusal.Unwrap() != nil {
		s.Log.Warning(id, w.to.String()+": "+d.refusal.Error())
	}
	if d.rcpt != nil {
		d.rcpt.delivery.N, d.rcpt.delivery.Rcpt, d.rcpt.delivery.Original = w.number, w.to.String(), w.original
	}
	return d
}

func (s *Server) choose(id string, w wish) decision {
	if w.member != "" {
		return s.memberOf(id, w)
	}
	account, extension, ok, err := s.user(w.to)
	switch {
	case err != nil:
		return temporary("the user database cannot be read", err)
	case !ok:
		return refusal(noUser(w.to))
	case !s.canBecome(account.UID):
		return misconfigured("delivery to other users needs root", nil)
	}
	if w.mailbox {
		return decision{rcpt: &recipient{account: account, act: actMailbox}}
	}
	forward, err := s.forward(id, account, extension)
	if err != nil {
		return refusal(status.From(err))
	}
	if s.onlyMailbox(account, forward) {
		return decision{rcpt: &recipient{account: account, act: actMailbox}}
	}
	return decision{instead: forward}
}

func noUser(a address.Address) *status.Status {
	return status.New(op, 550, status.Code{5, 1, 1}, a.String()+": no such user here", nil)
}

// user finds the user that an address means: its localpart as it is, or in lower case, or without +extension.
func (s *Server) user(a address.Address) (account Account, extension string, ok bool, err error) {
	name := a.Unquoted()
	base, detail, plussed := strings.Cut(name, "+")
	names := []string{name, strings.ToLower(name)}
	if plussed && base != "" {
		names = append(names, base, strings.ToLower(base))
	}
	for i, name := range names {
		if aliases.StandsForRoot(name) {
			name = "root"
		}
		if account, ok, err = s.Accounts.ByName(name); ok || err != nil {
			if i >= 2 {
				extension = detail
			}
			return account, extension, ok, err
		}
	}
	return Account{}, "", false, nil
}

// onlyMailbox tells whether a .forward says what holds without one.
func (s *Server) onlyMailbox(account Account, members []string) bool {
	return len(members) == 0 || len(members) == 1 && members[0] == account.Mailbox()
}

// forward is what the .forward of a user says. The user himself, by whatever address of this machine, is his mailbox.
func (s *Server) forward(id string, account Account, extension string) ([]string, error) {
	r := s.request(actForward, account.User)
	r.extension = extension
	answer, err := s.ask(s.ctx, account.identity(), r, nil, forwardTime)
	if err != nil {
		return nil, err
	}
	for _, note := range answer.forward.Notes[:min(len(answer.forward.Notes), local.MaxNotes)] { // the child is its user's
		s.Log.ForwardIgnored(id, account.Name, note)
	}
	if st := answer.status(0); st.Class() != status.Success {
		s.Log.ForwardIgnored(id, account.Name, st.Error())
		return nil, st
	}
	var members []string
	for _, m := range answer.forward.Members {
		if len(members) < maxRecipients && plain(m) {
			members = append(members, s.selfAsMailbox(account, m))
		}
	}
	return members, nil
}

// plain refuses what no member can be.
func plain(member string) bool {
	return member != "" && len(member) <= 4<<10 && !strings.ContainsAny(member, "\r\n\x00")
}

func (s *Server) selfAsMailbox(account Account, member string) string {
	a, err := address.Parse(strings.TrimPrefix(member, `\`))
	if err != nil || strings.IndexByte(`|/`, member[0]) >= 0 || a.Domain() != "" && !s.isLocal(a) {
		return member
	}
	if u, _, ok, err := s.user(a); err == nil && ok && u.Name == account.Name {
		return account.Mailbox()
	}
	return member
}

// memberOf decides about a command, a file or a Maildir that a name stands for: an alias that we see ourselves, or a user's
// .forward as it is now.
func (s *Server) memberOf(id string, w wish) decision {
	if _, err := local.ParseMember(w.member); err != nil {
		return misconfigured("this cannot be delivered to", err)
	}
	uid, named, err := s.byAlias(w)
	switch {
	case err != nil:
		return refusal(status.From(err))
	case named:
		return s.asOwner(uid, w)
	}
	account, extension, ok, err := s.user(w.to)
	switch {
	case err != nil:
		return temporary("the user database cannot be read", err)
	case !ok:
		return misconfigured("no alias stands for this any more", nil)
	case !s.canBecome(account.UID):
		return misconfigured("delivery to other users needs root", nil)
	}
	forward, err := s.forward(id, account, extension)
	if err != nil {
		return refusal(status.From(err))
	}
	for _, m := range forward {
		if m == w.member {
			return decision{rcpt: &recipient{account: account, act: actMember, member: w.member, origin: local.FromUser}}
		}
	}
	if len(forward) == 0 {
		forward = []string{account.Mailbox()}
	}
	return decision{instead: forward}
}

// byAlias finds out whether an alias stands for a member, and who owns the file that says so.
func (s *Server) byAlias(w wish) (uid int, ok bool, err error) {
	x, found, err := s.aliases.Expand(w.to.Unquoted())
	if err != nil || !found {
		return 0, false, err
	}
	for _, r := range x.Recipients {
		switch r.Kind {
		case aliases.Pipe, aliases.File, aliases.Maildir:
			if local.Spell(r.Member) == w.member {
				return int(r.UID), true, nil
			}
		}
	}
	return 0, false, nil
}

// asOwner has a member of an alias delivered to with the rights of the owner of the file, or of the default user when that
// is root.
func (s *Server) asOwner(uid int, w wish) decision {
	account, ok, err := s.Accounts.ByUID(uid)
	if uid == 0 {
		account, ok, err = s.Accounts.ByName(s.Config.Local.DefaultUser)
	}
	switch {
	case err != nil:
		return temporary("the user database cannot be read", err)
	case !ok:
		return misconfigured("there is no user to run the commands of aliases", errors.New("neither local.default_user nor the owner of the file"))
	case account.UID == 0:
		return misconfigured("commands of aliases are not run as root", errors.New("local.default_user"))
	case !s.canBecome(account.UID):
		return misconfigured("delivery to other users needs root", nil)
	}
	return decision{rcpt: &recipient{account: account, act: actMember, member: w.member, origin: local.FromAlias}}
}
