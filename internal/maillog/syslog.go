package maillog

import (
	"errors"
	"strconv"
	"syscall"
	"time"
)

// devLog is where the local syslog daemon, or the journal, listens.
const devLog = "/dev/log"

// facilityMail is the mail facility of RFC 3164 section 4.1.1, as it stands in a priority value.
const facilityMail = 2 << 3

// patience is how long one line waits for a daemon that does not read. The lines after it do not wait until
// one gets through again.
const patience = 250 * time.Millisecond

// syslogSink sends datagrams to the local syslog socket. It does so by system calls of its own, because package
// net would cost every start of sendmail more than all its logging does.
type syslogSink struct {
	path  string
	fd    int // -1: not connected
	stuck bool

	absent time.Time // when there was no daemon
	why    error
}

// absence is how long after one failure to connect there is no other try: a server on a machine without syslog must
// not look for it with every line.
const absence = time.Second

func newSyslog(path string) *syslogSink { return &syslogSink{path: path, fd: -1} }

// syslogLine is the form of RFC 3164 section 4.1 as local sockets take it, without a host name.
func syslogLine(o origin, now time.Time, e event) []byte {
	return []byte("<" + strconv.Itoa(facilityMail|e.severity) + ">" + now.Format(time.Stamp) + " " + o.tag() + e.message())
}

// write connects when need be, and once more when the daemon was restarted meanwhile.
func (s *syslogSink) write(line []byte) error {
	fresh := s.fd < 0
	err := s.send(line)
	if err != nil && !fresh && !errors.Is(err, syscall.EAGAIN) {
		err = s.send(line)
	}
	return err
}

func (s *syslogSink) send(line []byte) error {
	if s.fd < 0 {
		if s.why != nil && time.Since(s.absent) < absence {
			return s.why
		}
		if s.why = s.connect(); s.why != nil {
			s.absent = time.Now()
			return s.why
		}
	}
	_, err := syscall.Write(s.fd, line)
	for tries := 0; err == syscall.EINTR && tries < 10; tries++ {
		_, err = syscall.Write(s.fd, line)
	}
	if stuck := err == syscall.EAGAIN; stuck != s.stuck && (stuck || err == nil) {
		s.stuck = stuck
		return errors.Join(err, syscall.SetNonblock(s.fd, stuck))
	}
	if err != nil && err != syscall.EAGAIN {
		s.close()
	}
	return err
}

func (s *syslogSink) connect() error {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	tv := syscall.NsecToTimeval(patience.Nanoseconds())
	err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &tv)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: s.path})
	}
	if err != nil {
		syscall.Close(fd)
		return err
	}
	s.fd, s.stuck = fd, false
	return nil
}

func (s *syslogSink) close() error {
	if s.fd < 0 {
		return nil
	}
	err := syscall.Close(s.fd)
	s.fd, s.stuck = -1, false
	return err
}
