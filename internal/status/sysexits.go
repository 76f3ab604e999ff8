package status

// The exit statuses of sysexits(3).
const (
	ExitOK          = 0
	ExitUsage       = 64
	ExitDataErr     = 65
	ExitNoInput     = 66
	ExitNoUser      = 67
	ExitNoHost      = 68
	ExitUnavailable = 69
	ExitSoftware    = 70
	ExitOSErr       = 71
	ExitOSFile      = 72
	ExitCantCreat   = 73
	ExitIOErr       = 74
	ExitTempFail    = 75
	ExitProtocol    = 76
	ExitNoPerm      = 77
	ExitConfig      = 78
)

// sysexits maps exit statuses to SMTP outcomes. The rows are the field's common ones; where models differ
// (74), it is Sendmail's row that stands: an I/O error is temporary.
var sysexits = []struct {
	exit  int
	reply int
	code  Code
	text  string
}{
	{ExitOK, 250, Code{2, 0, 0}, "ok"},
	{ExitUsage, 550, Code{5, 3, 0}, "command line usage error"},
	{ExitDataErr, 550, Code{5, 6, 0}, "data format error"},
	{ExitNoInput, 550, Code{5, 3, 0}, "cannot open input"},
	{ExitNoUser, 550, Code{5, 1, 1}, "user unknown"},
	{ExitNoHost, 550, Code{5, 1, 2}, "host name unknown"},
	{ExitUnavailable, 554, Code{5, 3, 0}, "service unavailable"},
	{ExitSoftware, 550, Code{5, 3, 0}, "internal software error"},
	{ExitOSErr, 451, Code{4, 3, 0}, "system resource problem"},
	{ExitOSFile, 550, Code{5, 3, 0}, "critical OS file missing"},
	{ExitCantCreat, 550, Code{5, 2, 0}, "cannot create user output file"},
	{ExitIOErr, 451, Code{4, 3, 0}, "input/output error"},
	{ExitTempFail, 451, Code{4, 3, 0}, "temporary failure"},
	{ExitProtocol, 550, Code{5, 5, 0}, "remote error in protocol"},
	{ExitNoPerm, 550, Code{5, 7, 0}, "permission denied"},
	{ExitConfig, 550, Code{5, 3, 5}, "local configuration error"},
}

// Fail makes the outcome that an exit status expresses, with its row's codes and text, or with text where it
// is not "". An exit status outside sysexits(3) is temporary.
func Fail(op string, exit int, text string, err error) *Status {
	for _, row := range sysexits {
		if row.exit == exit {
			if text == "" {
				text = row.text
			}
			s := New(op, row.reply, row.code, text, err)
			s.exit = exit
			return s
		}
	}
	s := New(op, 451, Code{4, 3, 0}, text, err)
	s.exit = ExitTempFail
	return s
}

// Exit is the exit status that expresses s: the one it was made from, or the row with its enhanced code, or
// else 0, 75 or 69 by its class.
func (s *Status) Exit() int {
	if s == nil {
		return ExitOK
	}
	if s.exit != 0 {
		return s.exit
	}
	switch s.Class() {
	case Success:
		return ExitOK
	case Temporary:
		return ExitTempFail
	}
	switch s.code {
	case Code{5, 1, 1}:
		return ExitNoUser
	case Code{5, 1, 2}:
		return ExitNoHost
	case Code{5, 6, 0}:
		return ExitDataErr
	case Code{5, 7, 0}:
		return ExitNoPerm
	case Code{5, 3, 5}:
		return ExitConfig
	}
	return ExitUnavailable
}
