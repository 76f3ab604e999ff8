package route

import (
	"errors"
	"slices"
	"strings"

	"postrider/aliases"
	"postrider/internal/address"
	"postrider/internal/status"
)

// Member is a recipient that an alias stands for, when it stands for more than one or has an owner, or that a .forward
// names. One of an alias is final: aliases are not looked up for it again.
type Member struct {
	Address string // wire form; as aliases(5) has it with Agent: "|command", "/file", "/maildir/", or whatever was written
	Agent   string // "" an address; AgentCommand and so on
	Via     string // wire form: the user whose .forward names it or, with a command, the alias that does; "": an alias
	Owner   string // who is told when it fails, and so its envelope sender, in wire form; "": the message's own sender
	Fault   string // with AgentNone: what is wrong with it, where
	Key     string // as Decision.Key
}

// Key is equal for decisions about the same recipient, by whatever names; "" for one that is refused. An alias is not the
// same as the user of its name, nor is a user the same as his mailbox: he may have a .forward.
func (d *Decision) Key() string {
	switch {
	case d.Kind == Expand:
		return "alias " + aliases.AddressKey(d.Address, true)
	case d.Kind == Local && d.Agent == AgentMailbox:
		return AgentMailbox + " " + aliases.AddressKey(d.Address, true)
	case d.Kind == Local && d.Agent != "":
		return d.Agent + " " + d.Member
	case d.Kind == Local || d.Kind == Relay:
		return aliases.AddressKey(d.Address, d.Kind == Local)
	}
	return ""
}

// What a member is that is no address, or not only.
const (
	AgentMailbox = "mailbox" // Address is a user, and his mailbox is meant: whatever his .forward says
	AgentCommand = "command"
	AgentFile    = "file"
	AgentMaildir = "maildir"
	AgentNone    = "none" // nobody can make sense of it
)

var agents = map[aliases.Kind]string{
	aliases.Pipe: AgentCommand, aliases.File: AgentFile, aliases.Maildir: AgentMaildir,
	aliases.Error: AgentNone,
}

// shownMembers is how many members the steps tell of.
const shownMembers = 100

// openAliases opens the aliases of a configuration.
func (r *Router) openAliases() *aliases.Database {
	report := func(err error) {
		if r.report != nil {
			r.report(err)
		}
	}
	return aliases.Open(r.conf.AliasFiles(), aliases.Options{Local: r.mayBeAlias, User: r.isUser, Root: r.conf.Local.Root, Report: report})
}

// Aliases are the aliases that the router goes by.
func (r *Router) Aliases() *aliases.Database { return r.aliases }

// mayBeAlias tells whether the localpart of an address is looked up in the aliases.
func (r *Router) mayBeAlias(a address.Address) bool {
	return r.isLocal(a, &Decision{}) || r.isRootAtOrigin(a)
}

func (r *Router) isUser(name string) (bool, error) {
	if aliases.StandsForRoot(name) {
		return true, nil
	}
	_, ok, err := r.users.Lookup(name)
	if err != nil {
		err = unreadableUsers(err)
	}
	return ok, err
}

// Check is Route for those who want to know only whether there is such a recipient, as a server does at RCPT. It costs
// little, whatever the size of a list, and an Expand has no members. An alias of a few, of whom there is none, is none.
func (r *Router) Check(a address.Address) Decision {
	d := r.route(a, r.aliases.Probe)
	if d.Kind == Expand && len(d.Members) > 0 && r.nobody(d.Members) {
		d.step("there is none of them")
		d.refuse(status.New("route.user", 550, status.Code{5, 1, 1}, a.String()+": nobody whom it stands for is here", nil))
	}
	d.Members = nil
	return d
}

// nobody tells whether it is certain that there is none of list.
func (r *Router) nobody(list []Member) bool {
	return !slices.ContainsFunc(list, func(m Member) bool {
		d := r.Final(m)
		return m.Agent == AgentNone || d.Kind != Refuse || d.Status.Class() != status.Permanent
	})
}

// expander is one of the ways to expand an alias.
type expander func(local string) (*aliases.Expansion, bool, error)

// alias decides about an address that may be an alias; false when it is none.
func (r *Router) alias(a address.Address, expand expander, d *Decision) bool {
	x, ok, err := expand(a.Unquoted())
	if err != nil {
		d.refuse(status.From(err))
		return true
	}
	if !ok {
		return false
	}
	d.explainEntry(a, x.Entry)
	list := x.Recipients
	switch {
	case len(list) == 0:
		d.Kind = Expand
		d.step("it stands for several")
	case unusable(list):
		d.refuse(status.New("route.alias", 451, status.Code{4, 3, 5}, "mail for "+x.Entry.Name+" has no place to go", errors.New(list[0].Err)))
	case len(list) == 1 && list[0].Owner == "":
		r.toOnly(a, list[0], x, d)
	default:
		r.expand(a, x, d)
	}
	return true
}

// unusable tells whether nobody can make sense of any recipient.
func unusable(list []aliases.Recipient) bool {
	return !slices.ContainsFunc(list, func(r aliases.Recipient) bool { return r.Kind != aliases.Error })
}

func (d *Decision) explainEntry(a address.Address, e aliases.Entry) {
	if e.Name == "root" && !strings.HasPrefix(strings.ToLower(a.Unquoted()), "root") {
		d.step("%s stands for root", a.Local())
	}
	if e.File == aliases.RootSetting {
		d.step("local.root sends mail for root to %s", e.Members[0].Text)
		return
	}
	d.step("%s is an alias", e.Where())
}

// toOnly decides for the one recipient that alias a comes to: its address takes the alias's place.
func (r *Router) toOnly(a address.Address, to aliases.Recipient, x *aliases.Expansion, d *Decision) {
	if x.Entry.File != aliases.RootSetting || len(x.Aliases) > 1 {
		d.step("it stands for %s", describe(to, x))
	}
	if to.Kind == aliases.Address || to.Kind == aliases.User {
		d.Address = to.Address
	}
	r.final(member(to, r.named(a), ""), d)
}

// expand decides for several recipients, or for those that have an owner.
func (r *Router) expand(a address.Address, x *aliases.Expansion, d *Decision) {
	d.Kind, d.Members = Expand, make([]Member, len(x.Recipients))
	d.step("recipients: %d", len(x.Recipients))
	domain, owners := r.ownDomain(a), map[string]string{"": ""}
	a = r.named(a)
	for i, to := range x.Recipients {
		owner, ok := owners[to.Owner]
		if !ok {
			owner = ownerAddress(to.Owner, domain)
			owners[to.Owner] = owner
		}
		to.Address = to.Address.WithDomain(domain)
		d.Members[i] = member(to, a, owner)
		if i < shownMembers {
			d.step("%s", describe(x.Recipients[i], x))
		}
	}
	if more := len(x.Recipients) - shownMembers; more > 0 {
		d.step("and %d more", more)
	}
}

// member is a recipient that alias a comes to.
func member(to aliases.Recipient, a address.Address, owner string) Member {
	m := Member{Agent: agents[to.Kind], Owner: owner, Fault: to.Err, Key: to.Key}
	if to.Kind == aliases.User && strings.HasPrefix(to.Text, `\`) { // and not one who ends a circle
		m.Agent = AgentMailbox
	}
	switch m.Agent {
	case "":
		m.Address = to.Address.String()
	case AgentMailbox:
		m.Address, m.Key = to.Address.String(), AgentMailbox+" "+to.Key
	case AgentNone:
		m.Address = status.Clean(to.Text, 80) // it may be anything
	default:
		m.Address, m.Via = spell(to), a.String()
		m.Key = m.Agent + " " + m.Address
	}
	return m
}

// spell is a command or a path as aliases(5) has it.
func spell(to aliases.Recipient) string {
	switch to.Kind {
	case aliases.Pipe:
		return "|" + to.Text
	case aliases.Maildir:
		return to.Text + "/"
	}
	return to.Text
}

// describe is a recipient in words, with the alias that named it unless that is the first.
func describe(to aliases.Recipient, x *aliases.Expansion) string {
	s := ""
	switch to.Kind {
	case aliases.Address:
		s = to.Address.String()
	case aliases.User:
		s = "user " + to.Address.String() + ", who is not looked up again"
	case aliases.Error:
		s = "nobody: " + to.Err
	default:
		s = agents[to.Kind] + " " + spell(to)
	}
	if to.Via != x.Entry.Where() {
		s += ", by " + to.Via
	}
	if to.Owner != "" {
		s += "; failures go to " + to.Owner
	}
	return s
}

// ownDomain is the domain that completes what a list names without one: that by which the list was addressed, or origin
// if it leads here, or hostname.
func (r *Router) ownDomain(list address.Address) string {
	domain := list.Domain()
	if _, literal := list.Literal(); domain != "" && !literal && !sameDomain(domain, "localhost") && r.whyLocal(domain) != "" {
		return domain
	}
	if r.whyLocal(r.conf.Origin) != "" {
		return r.conf.Origin
	}
	return r.conf.Hostname
}

// named is a local address as other machines may see it: with a domain that leads here.
func (r *Router) named(a address.Address) address.Address {
	domain := r.ownDomain(a)
	if a.Domain() == domain {
		return a
	}
	local, err := address.Parse(a.Local())
	if err != nil || local.Domain() != "" {
		return a
	}
	return local.WithDomain(domain)
}

func ownerAddress(owner, domain string) string {
	a, err := address.Parse(owner)
	if err != nil || a.Domain() != "" {
		a, _ = address.Parse(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(owner) + `"`)
	}
	return a.WithDomain(domain).String()
}
