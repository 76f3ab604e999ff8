package smtpd

import (
	"cmp"
	"strconv"
	"strings"

	"postrider/internal/maillog"
	"postrider/internal/status"
	"postrider/queue"
)

// data is DATA (RFC 5321 section 4.1.1.4).
func (s *Session) data(args string) {
	switch {
	case args != "":
		s.mistake(501, codeArgument, "DATA takes no parameter")
		return
	case s.chunks != nil:
		s.mistake(503, codeUnknown, "not after BDAT")
		return
	case !s.inStep() || !s.ready():
		return
	}
	s.reply(354, noCode, "end the message with a line of one dot")
	s.startText()
	m := s.begin(false)
	err := s.in.text(&m.text, func(p []byte) {
		m.write(p)
		s.swallow(m)
	})
	s.textFrom = noTime
	if err != nil {
		s.textError(err)
		return
	}
	s.deliver(m)
}

// ready tells whether the transaction may have a text; otherwise it has replied.
func (s *Session) ready() bool {
	if len(s.tx.Rcpts) == 0 && s.discarded == 0 {
		code := 554
		if s.port.Mode == LMTP { // RFC 2033 section 4.2
			code = 503
		}
		s.mistake(code, codeUnknown, "no valid recipients")
		return false
	}
	v := s.Policy.Data(s.ctx, &s.client, s.tx)
	if v.Status != nil {
		s.refuse(v, "")
		return false
	}
	s.heed(v)
	s.tx.Envelope.Arrival = s.now()
	s.tx.Envelope.Proto = s.protocol()
	return true
}

// startText makes room for a text, and begins to watch how fast it comes.
func (s *Session) startText() {
	s.in.grow()
	s.textFrom, s.textSaw = timeNow(), s.in.saw
}

// swallow ends the session when it throws too much away. What has been wasted is counted over the session.
func (s *Session) swallow(m *message) {
	if s.wasted+m.wasted > maxWaste && s.closed == "" {
		s.close("too much refused data")
	}
}

// textError ends the session: no byte that comes now can be told from text (the defect known from others is that the rest
// of a text is read as commands).
func (s *Session) textError(err error) {
	if s.closed != "" {
		s.reply(421, status.Code{4, 3, 0}, s.Hostname+" too much data of refused messages")
		return
	}
	s.lineError(err)
}

// deliver commits a message and replies.
func (s *Session) deliver(m *message) {
	entry, st := m.end()
	s.wasted += m.wasted
	switch {
	case st != nil:
		s.refuseText(m, st)
		s.textReply(st)
	case m.discard:
		s.thrownAway(m.why)
	default:
		s.accepted(m.size, m.disposal, entry)
	}
	s.reset()
	s.resent(st)
}

func (s *Session) thrownAway(why string) {
	s.Log.Discarded(s.tx.Envelope.Sender, len(s.tx.Rcpts)+s.discarded, s.arrival(cmp.Or(why, s.grant)))
	if s.Stats != nil {
		s.Stats.Discarded.Add(1)
	}
	s.textReply(errDiscarded)
}

func (s *Session) refuseText(m *message, st *status.Status) {
	if strings.HasPrefix(st.Op(), "queue.") && s.Stats != nil {
		s.Stats.CommitFails.Add(1)
	}
	s.logRefusal(st, "", m.reason)
	if st.Reply() == 421 || m.close {
		s.close("refused")
	}
}

// resent blames the client for a message that was refused, if it could have known.
func (s *Session) resent(st *status.Status) {
	if st != nil && st.Class() == status.Permanent {
		s.blame()
	}
}

func (s *Session) accepted(size int64, d disposal, entry queue.Entry) {
	e := &s.tx.Envelope
	id := string(entry.ID)
	s.count.Messages++
	s.count.Recipients += len(e.Rcpts)
	if s.Stats != nil {
		s.Stats.Messages.Add(1)
		s.Stats.Bytes.Add(size)
		s.Stats.Recipients.Add(int64(len(e.Rcpts)))
	}
	s.errors, s.idle = 0, 0
	s.Log.Received(id, e.Sender, size, len(e.Rcpts), e.UID, s.arrival(s.grant))
	if d.hold != "" {
		s.Log.Held(id, d.hold, d.why)
	}
	s.textReply(status.New("smtpd.text", 250, codeOK, "Ok: queued as "+id, nil))
	if s.Committed != nil {
		s.Committed(entry)
	}
}

// arrival is how something came, for the log.
func (s *Session) arrival(reason string) maillog.Arrival {
	a := maillog.Arrival{Client: s.logName(), Via: s.client.Via, Helo: s.heloName(), TLS: s.tlsName(), Login: s.client.Login, Reason: reason}
	if s.tx != nil {
		a.Proto = s.tx.Envelope.Proto
	}
	return a
}

// textReply replies to the end of a text: once, or in LMTP for each recipient (RFC 2033 section 4.2).
func (s *Session) textReply(st *status.Status) {
	if s.port.Mode != LMTP {
		s.status(st)
		return
	}
	for range max(1, len(s.tx.Rcpts)+s.discarded) {
		s.status(st)
	}
}

// bdat is BDAT (RFC 3030 section 2). The bytes that it announces are never taken for commands: they are consumed
// whatever the reply is, and when it cannot be told how many they are the session is over.
func (s *Session) bdat(args string) {
	size, last, err := parseChunk(args)
	if err != nil {
		s.drop(501, codeArgument, "syntax: BDAT size [LAST]", "bad chunk")
		return
	}
	if size == 0 && !last {
		s.idle++
	}
	if refusal := s.missing(afterHelo | inMail); refusal != "" {
		s.mistake(503, codeUnknown, refusal)
		s.skip(size)
		return
	}
	if s.chunks == nil {
		if !s.ready() {
			s.skip(size)
			return
		}
		s.chunks = s.begin(true)
	}
	s.chunk(s.chunks, size, last)
}

// skip consumes the chunk of a command that was refused.
func (s *Session) skip(size int64) {
	if s.wasted += size; s.wasted > maxWaste || s.closed != "" {
		s.close("too much refused data")
		return
	}
	s.startText()
	err := s.in.chunk(size, func([]byte) {})
	s.textFrom = noTime
	if err != nil {
		s.lineError(err)
	}
}

// chunk takes one chunk of a message. One that was cut off is never part of a message.
func (s *Session) chunk(m *message, size int64, last bool) {
	s.startText()
	err := s.in.chunk(size, func(p []byte) {
		m.raw(p)
		s.swallow(m)
	})
	s.textFrom = noTime
	switch {
	case err != nil:
		s.textError(err)
	case last:
		s.deliver(m)
	case m.failed != nil: // the transaction is over; what is pipelined behind it is out of order
		s.wasted += m.wasted
		s.refuseChunk(m)
	default:
		s.reply(250, codeOK, strconv.FormatInt(size, 10)+" octets received")
	}
}

func (s *Session) refuseChunk(m *message) {
	s.refuseText(m, m.failed)
	s.status(m.failed)
	s.reset()
	s.resent(m.failed)
}
