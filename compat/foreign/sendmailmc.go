package foreign

import (
	"strconv"
	"strings"
)

// defines are the options that a sendmail.mc sets by names of its own.
var defines = map[string]string{
	"confMAX_MESSAGE_SIZE": "maxmessagesize", "confMAX_HOP": "maxhopcount", "confMAX_RCPTS_PER_MESSAGE": "maxrecipientspermessage",
	"confMAX_DAEMON_CHILDREN": "maxdaemonchildren", "confTO_QUEUERETURN": "timeout.queuereturn", "confTO_QUEUERETURN_NORMAL": "timeout.queuereturn",
	"confTO_QUEUEWARN": "timeout.queuewarn", "confTO_QUEUEWARN_NORMAL": "timeout.queuewarn", "confMIN_QUEUE_AGE": "minqueueage", "confMAX_QUEUE_AGE": "maxqueueage",
	"ALIAS_FILE": "aliasfile", "confPRIVACY_FLAGS": "privacyoptions", "confSERVER_CERT": "servercertfile", "confSERVER_KEY": "serverkeyfile",
	"confDAEMON_OPTIONS": "daemonportoptions", "confAUTH_MECHANISMS": "authmechanisms",
}

// mcNothing are the defines and calls that mean nothing here.
var mcNothing = map[string]bool{
	"VERSIONID": true, "OSTYPE": true, "DOMAIN": true, "MAILER": true, "undefine": true, "sinclude": true, "ifdef": true, "ifelse": true,
	"TRUST_AUTH_MECH": true, "LOCAL_USER": true, "LOCAL_RULESETS": true, "changequote": true, "MODIFY_MAILER_FLAGS": true,
	"_USE_ETC_MAIL_": true, "MAIL_SETTINGS_DIR": true, "QUEUE_DIR": true, "MSP_QUEUE_DIR": true, "HELP_FILE": true, "STATUS_FILE": true, "confPID_FILE": true,
	"confHOST_STATUS_DIRECTORY": true, "confDEF_USER_ID": true, "confRUN_AS_USER": true, "confTRUSTED_USER": true, "confTRUSTED_USERS": true, "confTO_IDENT": true,
	"confTO_CONNECT": true, "confTO_ICONNECT": true, "confTO_COMMAND": true, "confLOG_LEVEL": true, "confAUTO_REBUILD": true, "confDONT_PROBE_INTERFACES": true,
	"confDONT_BLAME_SENDMAIL": true, "confQUEUE_LA": true, "confREFUSE_LA": true, "confDELAY_LA": true, "confCACERT": true, "confCACERT_PATH": true,
	"confAUTH_OPTIONS": true, "confTLS_SRV_OPTIONS": true, "confCIPHER_LIST": true, "confSERVER_SSL_OPTIONS": true, "confCLIENT_SSL_OPTIONS": true,
	"confDH_PARAMETERS": true, "confCF_VERSION": true, "confSMTP_LOGIN_MSG": true, "confUSERDB_SPEC": true, "confFORWARD_PATH": true, "confCONNECTION_CACHE_SIZE": true,
	"confCONNECTION_CACHE_TIMEOUT": true, "confMIME_FORMAT_ERRORS": true, "confEIGHT_BIT_HANDLING": true, "confUSE_MSP": true, "confDELIVERY_MODE": true,
	"confBIND_OPTS": true, "confMAX_RUNNERS_PER_QUEUE": true, "confNO_RCPT_ACTION": true, "confDOUBLE_BOUNCE_ADDRESS": true, "confTO_INITIAL": true,
	"confSINGLE_THREAD_DELIVERY": true, "confCLIENT_CERT": true, "confCLIENT_KEY": true, "confRRT_IMPLIES_DSN": true, "confWORK_CLASS_FACTOR": true,
	"PROCMAIL_MAILER_PATH": true, "LOCAL_MAILER_FLAGS": true, "LOCAL_MAILER_ARGS": true, "UUCP_MAILER_MAX": true, "confTEMP_FILE_MODE": true,
	"RELAY_MAILER_ARGS": true, "ESMTP_MAILER_ARGS": true, "SMTP_MAILER_ARGS": true, "confBAD_RCPT_THROTTLE": true, "confALLOW_BOGUS_HELO": true,
}

// features are the FEATUREs that need nothing here: ours does so in any case.
var features = map[string]bool{
	"use_cw_file": true, "use_ct_file": true, "always_add_domain": true, "redirect": true, "smrsh": true, "nouucp": true, "blacklist_recipients": true,
	"blocklist_recipients": true, "delay_checks": true, "allmasquerade": true, "masquerade_envelope": true, "access_db": true, "no_default_msa": true,
	"virtusertable": true, "mailertable": true, "genericstable": true, "authinfo": true, "local_procmail": true, "nullclient": true, "dnsbl": true,
	"enhdnsbl": true, "greet_pause": true, "domaintable": true, "relay_entire_domain": true, "nocanonify": true, "conncontrol": true, "ratecontrol": true,
	"preserve_local_plus_detail": true, "generics_entire_domain": true, "virtuser_entire_domain": true, "queuegroup": true, "tls_session_features": true,
	"msp": true, "require_rdns": true, "badmx": true, "preserve_luser_host": true, "lookupdotdomain": true, "block_bad_helo": true,
}

// mc takes what a sendmail.mc calls, and the lines that it hands through.
func (s *sendmail) mc(p *m4) {
	s.tables["access"] = line{"/etc/mail/access", Place{File: "/etc/mail/access"}} // where "authinfo" is looked for as well
	for _, c := range p.calls {
		s.call(c)
	}
	var cf []line
	for _, l := range p.raw {
		switch {
		case len(l.text) > 1 && strings.IndexByte("DCFOKM", l.text[0]) >= 0 && !strings.HasPrefix(l.text, "LOCAL_"):
			cf = append(cf, l)
		case l.text[0] == 'R' && strings.Contains(l.text, "\t"), l.text[0] == 'S' && !strings.Contains(l.text, " ") && len(l.text) > 1:
			s.left(l.at, "a rule: rules are a program, and not read")
		}
	}
	s.cf(cf)
}

// call takes one call.
func (s *sendmail) call(c macro) {
	value := c.arg(0)
	switch c.name {
	case "define":
		s.define(c)
	case "FEATURE":
		s.feature(c)
	case "MASQUERADE_AS":
		s.macros["M"] = line{value, c.at}
	case "MASQUERADE_DOMAIN":
		s.addClass("M", c)
	case "LOCAL_DOMAIN":
		s.addClass("w", c)
	case "RELAY_DOMAIN":
		s.addClass("R", c)
	case "RELAY_DOMAIN_FILE":
		s.classFile("R", value, c.at)
	case "DAEMON_OPTIONS":
		s.ports = append(s.ports, line{value, c.at})
	case "EXPOSED_USER":
		s.addClass("E", c)
	case "GENERICS_DOMAIN_FILE":
		s.set("tables.generics_domains", value, c.at)
	case "GENERICS_DOMAIN":
		for _, word := range words(value) {
			s.addEntry("generics_domains", Entry{Key: word, From: c.at})
		}
	case "CLIENT_OPTIONS", "VIRTUSER_DOMAIN", "VIRTUSER_DOMAIN_FILE":
	case "INPUT_MAIL_FILTER", "MAIL_FILTER":
		s.left(c.at, "%s: there are no mail filters (milters)", c.name)
	default:
		if !mcNothing[c.name] {
			s.left(c.at, "%s: there is nothing like it here", c.name)
		}
	}
}

func (s *sendmail) addClass(name string, c macro) {
	for _, word := range words(c.arg(0)) {
		s.classes[name] = append(s.classes[name], line{word, c.at})
	}
}

// define takes a setting by its name in a sendmail.mc.
func (s *sendmail) define(c macro) {
	name, value := c.arg(0), c.arg(1)
	if option, ok := defines[name]; ok {
		s.option(option, value, c.at)
		return
	}
	switch name {
	case "SMART_HOST":
		s.macros["S"] = line{value, c.at}
	case "confDOMAIN_NAME":
		s.macros["j"] = line{strings.ReplaceAll(value, "$w.$m", "$w"), c.at}
	case "RELAY_MAILER_ARGS", "ESMTP_MAILER_ARGS", "SMTP_MAILER_ARGS":
		s.mailer(strings.ToLower(strings.TrimSuffix(name, "_MAILER_ARGS")) + ", A=" + value)
	case "MAIL_HUB", "LOCAL_RELAY", "LUSER_RELAY":
		s.left(c.at, "%s: local mail is delivered on this machine", name)
	case "LOCAL_MAILER_PATH":
		s.left(c.at, "LOCAL_MAILER_PATH: local mail goes to local.mailbox, which may be a command")
	case "confCW_FILE", "confCT_FILE", "confCR_FILE":
		if name == "confCW_FILE" {
			s.classFile("w", value, c.at)
		}
	default:
		if !mcNothing[name] && !strings.HasPrefix(name, "confTO_") {
			s.left(c.at, "%s: there is no such setting here", name)
		}
	}
}

// feature takes a FEATURE.
func (s *sendmail) feature(c macro) {
	name, arg := c.arg(0), c.arg(1)
	switch name {
	case "use_cw_file":
		s.classFile("w", "-o /etc/mail/local-host-names", c.at)
	case "limited_masquerade":
		s.limited = true
	case "masquerade_envelope":
		s.envelope = true
	case "no_default_msa":
		s.noMSA = true
	case "nullclient":
		s.macros["S"] = line{arg, c.at}
		s.differs(c.at, "nullclient: mail for users of this machine is delivered here")
	case "access_db", "virtusertable", "mailertable", "genericstable", "authinfo", "domaintable":
		s.tables[strings.TrimSuffix(name, "_db")] = line{"/etc/mail/" + strings.TrimSuffix(name, "_db"), c.at}
		s.table(strings.TrimSuffix(name, "_db"), arg, c.at)
	case "dnsbl", "enhdnsbl":
		s.add("smtpd.dns_lists", c.at, arg)
	case "greet_pause":
		if ms, ok := number(arg); ok {
			s.set("smtpd.greeting_delay", strconv.Itoa((ms+999)/1000)+"s", c.at)
		}
	case "require_rdns":
		s.set("smtpd.reverse_name", "match", c.at)
	case "relay_entire_domain":
		s.left(c.at, "relay_entire_domain: name the networks in relay.networks")
	case "local_procmail":
		if arg == "" {
			arg = "/usr/bin/procmail"
		}
		s.set("local.mailbox", "command:"+arg, c.at)
	case "local_lmtp":
		s.left(c.at, "%s: local mail goes to local.mailbox", name)
	case "promiscuous_relay", "relay_local_from", "relay_mail_from", "loose_relay_check", "relay_based_on_MX", "accept_unqualified_senders",
		"accept_unresolvable_domains", "accept_unauthenticated", "relay_hosts_only":
		s.left(c.at, "%s: ours does not take such mail", name)
	default:
		if !features[name] {
			s.left(c.at, "FEATURE(%s): there is nothing like it here", name)
		}
	}
}

// number reads a whole number that is not negative.
func number(s string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return n, err == nil && n >= 0
}
