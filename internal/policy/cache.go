package policy

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps values for a time, and not more than max of them: the one that was put in first goes first.
type cache[K comparable, V any] struct {
	now func() time.Time
	max int

	mu    sync.Mutex
	byKey map[K]*list.Element
	order list.List // of entry, the newest in front
}

type entry[K comparable, V any] struct {
	key   K
	value V
	until time.Time
}

func newCache[K comparable, V any](now func() time.Time, max int) *cache[K, V] {
	return &cache[K, V]{now: now, max: max, byKey: map[K]*list.Element{}}
}

func (c *cache[K, V]) get(key K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.byKey[key]
	if el == nil {
		return v, false
	}
	e := el.Value.(entry[K, V])
	if !c.now().Before(e.until) {
		c.drop(el)
		return v, false
	}
	return e.value, true
}

func (c *cache[K, V]) put(key K, v V, keep time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.byKey[key]; el != nil {
		c.drop(el)
	}
	c.byKey[key] = c.order.PushFront(entry[K, V]{key, v, c.now().Add(keep)})
	if c.order.Len() > c.max {
		c.drop(c.order.Back())
	}
}

func (c *cache[K, V]) drop(el *list.Element) {
	delete(c.byKey, c.order.Remove(el).(entry[K, V]).key)
}
