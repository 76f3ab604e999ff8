//go:build !linux

package queue

import (
	"context"
	"time"
)

// pollInterval is how often the directories are read where the kernel does not tell of changes.
const pollInterval = 5 * time.Second

// Watch reports that the directories should be read, with the zero Entry, at a steady interval. The channel is
// closed when ctx ends.
func (s *Spool) Watch(ctx context.Context) (<-chan Entry, error) {
	ch := make(chan Entry)
	go func() {
		defer close(ch)
		for tick := time.NewTicker(pollInterval); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			select {
			case ch <- Entry{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, nil
}
