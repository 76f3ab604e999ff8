package dsn

import (
	"io"
	"strings"
	"time"

	"postrider/internal/status"
)

// statusPart is the part for programs: message/delivery-status (RFC 3464), or message/global-delivery-status
// (RFC 6533 section 4), in which addresses and texts are UTF-8.
func (r *Report) statusPart() part {
	p := part{contentType: "message/delivery-status", description: "Delivery report", encoding: "7bit", write: r.writeFields}
	if r.UTF8 {
		p.contentType = "message/global-delivery-status"
		if !writesASCII(r.writeFields) {
			p.encoding = "8bit"
		}
	}
	return p
}

func (r *Report) writeFields(w io.Writer) error {
	if _, err := io.WriteString(w, r.messageFields()); err != nil {
		return err
	}
	for i := range r.Rcpts {
		if _, err := io.WriteString(w, "\r\n"+r.rcptFields(&r.Rcpts[i])); err != nil {
			return err
		}
	}
	return nil
}

// fieldList collects fields; those without a value are left out.
type fieldList struct {
	b    strings.Builder
	utf8 bool
}

func (f *fieldList) add(name, value string) {
	if value = clean(value, f.utf8); strings.TrimSpace(value) != "" {
		fold(&f.b, name, value)
	}
}

func (f *fieldList) typed(name, kind, value string) {
	if value != "" {
		f.add(name, kind+"; "+value)
	}
}

func (f *fieldList) date(name string, t time.Time) {
	if !t.IsZero() {
		f.add(name, t.Format(dateForm))
	}
}

func (r *Report) messageFields() string {
	f := fieldList{utf8: r.UTF8}
	f.add("Original-Envelope-Id", decodeXtext(r.EnvID))
	f.typed("Reporting-MTA", "dns", r.ReportingMTA)
	f.date("Arrival-Date", r.Arrival)
	f.date("Deliver-By-Date", r.By) // RFC 2852 section 5
	f.add("X-Postrider-Queue-ID", r.MessageID)
	return f.b.String()
}

func (r *Report) rcptFields(rcpt *Rcpt) string {
	f := fieldList{utf8: r.UTF8}
	kind, orig := r.originalRecipient(rcpt.ORcpt)
	f.typed("Original-Recipient", kind, orig)
	kind, final := r.finalRecipient(rcpt.Address)
	f.typed("Final-Recipient", kind, final)
	f.add("Action", rcpt.Action.field())
	f.add("Status", rcpt.code().String())
	f.typed("Remote-MTA", "dns", remoteName(rcpt.Remote))
	if rcpt.Remote != "" {
		f.typed("Diagnostic-Code", "smtp", rcpt.Status.Diagnostic())
	} else {
		f.typed("Diagnostic-Code", "x-postrider", rcpt.Status.Text())
	}
	f.date("Last-Attempt-Date", rcpt.LastAttempt)
	if rcpt.Action.field() == string(Delayed) {
		f.date("Will-Retry-Until", rcpt.WillRetryUntil)
	}
	return f.b.String()
}

// code is the enhanced code that tells of the outcome. That a deadline has passed is one of its own.
func (r *Rcpt) code() status.Code {
	if r.Action == Overdue {
		return status.Code{4, 4, 7}
	}
	return r.Status.Code()
}

// finalRecipient is an address with its type. An address beyond ASCII has the type utf-8, and without
// SMTPUTF8 the form that stays within ASCII.
func (r *Report) finalRecipient(address string) (kind, value string) {
	switch {
	case isASCII(address):
		return "rfc822", address
	case r.UTF8:
		return "utf-8", address
	}
	return "utf-8", encodeUnitext(address)
}

// originalRecipient takes an ORCPT parameter apart (RFC 3461 section 4.2).
func (r *Report) originalRecipient(orcpt string) (kind, value string) {
	kind, value, ok := strings.Cut(orcpt, ";")
	if !ok || !isAtom(kind) {
		return "", ""
	}
	if !strings.EqualFold(kind, "utf-8") {
		return kind, decodeXtext(value)
	}
	if r.UTF8 {
		return kind, decodeUnitext(value)
	}
	return kind, encodeUnitext(decodeUnitext(value))
}

// isAtom tells whether s can be the name of an address type or a host.
func isAtom(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return s != ""
}

// remoteName is the host name in "mx.example[192.0.2.7]:25", or its bracketed address when it has none or its name is
// the address; "" when it is no host at all, as a socket's path.
func remoteName(remote string) string {
	name, rest, bracket := strings.Cut(remote, "[")
	if bracket && (name == "" || strings.HasPrefix(rest, name+"]")) {
		if addr, _, ok := strings.Cut(rest, "]"); ok && isAtom(strings.ReplaceAll(addr, ":", ".")) {
			return "[" + addr + "]"
		}
	}
	if !bracket {
		name, _, _ = strings.Cut(remote, ":")
	}
	if isAtom(name) {
		return name
	}
	return ""
}
