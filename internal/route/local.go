package route

import (
	"strings"

	"postrider/aliases"
	"postrider/internal/status"
)

// local decides about d.Address, which is one of this machine's and no alias.
func (r *Router) local(d *Decision) {
	names := spellings(d.Address.Unquoted())
	for _, name := range names {
		if aliases.StandsForRoot(name) {
			if !strings.EqualFold(name, "root") {
				d.step("%s stands for root", name)
			}
			r.userRoot(d)
			return
		}
		if r.lookup(name, d) {
			return
		}
	}
	r.unknown(names, d)
}

// lookup decides when there is a user of this name, or nobody can tell.
func (r *Router) lookup(name string, d *Decision) bool {
	user, ok, err := r.users.Lookup(name)
	switch {
	case err != nil:
		d.refuse(unreadableUsers(err))
	case ok:
		r.toUser(user, d)
	default:
		return false
	}
	return true
}

func unreadableUsers(err error) *status.Status {
	return status.New("route.user", 451, status.Code{4, 3, 0}, "the user database cannot be read", err)
}

func (r *Router) unknown(names []string, d *Decision) {
	d.step("there is no user %s", strings.Join(names, " nor "))
	d.refuse(status.New("route.user", 550, status.Code{5, 1, 1}, d.Address.String()+": no such user here", nil))
}

// spellings are the user names that a localpart may mean, best first: as it is, in lower case, and both
// without +detail.
func spellings(local string) []string {
	names := []string{local}
	add := func(name string) {
		for _, have := range names {
			if have == name {
				return
			}
		}
		names = append(names, name)
	}
	add(strings.ToLower(local))
	if base, _, ok := strings.Cut(local, "+"); ok && base != "" {
		add(base)
		add(strings.ToLower(base))
	}
	return names
}

// userRoot decides about mail that stays with root.
func (r *Router) userRoot(d *Decision) {
	if r.conf.User {
		d.step("in a user installation, mail for root goes to the caller")
		r.toCaller(d)
	} else if !r.lookup("root", d) {
		r.unknown([]string{"root"}, d)
	}
}

// toCaller delivers to whoever runs this program.
func (r *Router) toCaller(d *Decision) {
	if user, ok := r.caller(d); ok {
		r.toUser(user, d)
	}
}

// caller is whoever runs this program; false, and a refusal, when that cannot be found out.
func (r *Router) caller(d *Decision) (User, bool) {
	user, err := r.users.Caller()
	if err != nil {
		d.refuse(status.New("route.user", 451, status.Code{4, 3, 0}, "the caller's name cannot be found out", err))
	}
	return user, err == nil
}

// toUser delivers to user. A user installation has the rights of its caller only.
func (r *Router) toUser(user User, d *Decision) {
	if r.conf.User {
		if caller, err := r.users.Caller(); err != nil || caller.UID != user.UID {
			d.step("user %s exists, but a user installation delivers to its caller only", user.Name)
			d.refuse(status.New("route.user", 550, status.Code{5, 7, 1}, user.Name+": delivery to other users needs the system installation", err))
			return
		}
	}
	d.step("user %s exists: local.mailbox says where the mail is kept", user.Name)
	d.Kind, d.User = Local, user
}
