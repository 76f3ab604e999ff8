package foreign

import "strings"

// mailboxes are where local mail goes.
func (p *postfix) mailboxes() {
	if dir, at, set := p.get("mail_spool_directory"); set && dir != "" {
		kind := "mbox:"
		if strings.HasSuffix(dir, "/") {
			kind = "maildir:"
		}
		p.set("local.mailbox", kind+strings.TrimSuffix(dir, "/")+"/{user}", at)
	}
	if file, at, set := p.get("home_mailbox"); set && file != "" {
		kind := "mbox:"
		if strings.HasSuffix(file, "/") {
			kind = "maildir:"
		}
		p.set("local.mailbox", kind+"{home}/"+strings.TrimSuffix(file, "/"), at)
	}
	p.cf.used["mailbox_command"] = true
	if command := p.cf.params["mailbox_command"]; command.text != "" { // its variables are those of a shell
		p.mailboxCommand(command.text, command.at)
	}
	if transport, at, set := p.get("mailbox_transport"); set && transport != "" {
		p.mailboxTransport(transport, at)
	}
	if value, at, set := p.get("recipient_delimiter"); set && value != "+" && value != "" {
		p.left(at, "recipient_delimiter = %s: what follows a user's name is cut off at \"+\"", value)
	}
}

// mailboxCommand hands local mail to a program, procmail as a rule. It must not need a shell.
func (p *postfix) mailboxCommand(command string, at Place) {
	list := shellWords(command)
	if len(list) == 0 || strings.ContainsAny(command, "|&;<>()`*?[]#~=%!{}\\") {
		p.left(at, "mailbox_command: it needs a shell, which there is none")
		return
	}
	out := []string{"command:" + p.program(list[0])}
	for _, word := range list[1:] {
		switch word {
		case "$EXTENSION", "${EXTENSION}":
			if last := len(out) - 1; last > 0 && strings.HasPrefix(out[last], "-") {
				out = out[:last]
			}
			p.differs(at, "mailbox_command: the program is not told what follows the user's name, $EXTENSION")
			continue
		case "$USER", "$LOGNAME":
			word = "{user}"
		case "$HOME":
			word = "{home}"
		case "$SENDER":
			word = "{sender}"
		case "$RECIPIENT":
			word = "{recipient}"
		}
		if strings.ContainsAny(word, "$ ") {
			p.left(at, "mailbox_command: %s is not known", word)
			return
		}
		out = append(out, word)
	}
	p.set("local.mailbox", strings.Join(out, " "), at)
}

// program is the path of a program.
func (p *postfix) program(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	for _, dir := range []string{"/usr/bin/", "/usr/local/bin/", "/bin/", "/usr/lib/dovecot/", "/usr/libexec/dovecot/"} {
		if p.tree.exists(dir + name) {
			return dir + name
		}
	}
	return "/usr/bin/" + name
}

// mailboxTransport hands local mail to LMTP by a Unix socket, Dovecot's as a rule.
func (p *postfix) mailboxTransport(transport string, at Place) {
	socket, ok := strings.CutPrefix(transport, "lmtp:unix:")
	if !ok {
		p.left(at, "mailbox_transport = %s: only LMTP by a Unix socket is possible", transport)
		return
	}
	p.set("local.mailbox", "lmtp+unix:"+p.inQueue(socket), at)
	p.socketNote(at, "LMTP", p.inQueue(socket))
}

// inQueue is the path of a socket that is named as Postfix's programs do, who stand in the queue's directory.
func (p *postfix) inQueue(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimSuffix(p.value("queue_directory"), "/") + "/" + name
}

// socketNote tells of a socket that only Postfix's user may open.
func (p *postfix) socketNote(at Place, what, socket string) {
	if strings.Contains(socket, "/private/") {
		p.differs(at, "let Dovecot make its %s socket where the mail system's user can open it: %s is for Postfix alone", what, socket)
	}
}
