package mailq

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"postrider/compat"
	"postrider/queue"
)

// As in Sendmail's listing.
func TestSomebodyElsesFileSaysSo(t *testing.T) {
	var b strings.Builder
	p := &rows{layout: compat.SendmailLayout(&b, "/spool", 1, false)}
	err := fmt.Errorf("%w: open: %w", queue.ErrCorrupt, fs.ErrPermission)
	if p.lost(queue.Entry{ID: "66101EF6CA4000007", Size: 5}, err) != nil || p.end() != nil {
		t.Fatal("cannot be written")
	}
	if !strings.Contains(b.String(), "66101EF6CA4000007?       5 Tue Nov 24 ") || !strings.Contains(b.String(), "(permission denied)\n") {
		t.Error(b.String())
	}
}
