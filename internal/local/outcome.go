package local

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"postrider/internal/mailbox"
	"postrider/internal/status"
)

// op names what is done here, in a Status.
const op = "local"

// misconfigured is a failure that the administrator, or the owner of a .forward, puts right.
func misconfigured(text string, err error) *status.Status {
	return status.New(op, 451, status.Code{4, 3, 5}, text, err)
}

// outcome classifies what a mailbox said. Its text is public; the cause keeps the path.
func outcome(err error) *status.Status {
	var s *status.Status
	if errors.As(err, &s) {
		return s
	}
	for _, row := range causes {
		for _, cause := range row.causes {
			if errors.Is(err, cause) {
				return status.New(op, row.reply, row.code, row.text, err)
			}
		}
	}
	return status.New(op, 451, status.Code{4, 3, 0}, "cannot write the mailbox", err)
}

var causes = []struct {
	causes []error
	reply  int
	code   status.Code
	text   string
}{
	{[]error{syscall.EDQUOT, syscall.EFBIG}, 452, status.Code{4, 2, 2}, "mailbox is over its quota"},
	{[]error{syscall.ENOSPC}, 452, status.Code{4, 3, 1}, "no space left on the mailbox's disk"},
	{[]error{mailbox.ErrBusy}, 450, status.Code{4, 2, 0}, "mailbox is locked by another program"},
	{[]error{mailbox.ErrUnsafe}, 450, status.Code{4, 2, 0}, "mailbox is not a plain file of its owner"},
	{[]error{fs.ErrPermission, syscall.EROFS}, 450, status.Code{4, 2, 0}, "mailbox cannot be written: permission denied"},
	{[]error{fs.ErrNotExist}, 450, status.Code{4, 2, 0}, "mailbox's directory does not exist"},
	{[]error{syscall.ENOTDIR, syscall.ELOOP}, 450, status.Code{4, 2, 0}, "mailbox's path leads through something that is no directory"},
	{[]error{context.Canceled, context.DeadlineExceeded}, 451, status.Code{4, 3, 2}, "delivery was interrupted"},
}
