package queue

// entries are the messages in the given states, oldest first.
func (s *Spool) entries(states State) ([]Entry, error) {
	x, err := s.Snapshot(states)
	if err != nil {
		return nil, err
	}
	var list []Entry
	for i := range x.list {
		list = append(list, x.list[i].entry())
	}
	return list, nil
}
