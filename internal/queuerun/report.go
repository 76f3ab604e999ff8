package queuerun

import (
	"errors"
	"fmt"

	"postrider/internal/dsn"
	"postrider/internal/route"
	"postrider/internal/status"
	"postrider/queue"
)

// report sends the sender, and the owners of lists, the reports that this attempt calls for, if any. When it returns nil
// every final outcome that is to be reported is in a report that is committed.
func (a *attempt) report() error {
	actions, some := a.actions()
	if !some {
		return nil
	}
	for _, owner := range a.owners(actions) {
		if err := a.reportTo(owner, actions); err != nil {
			return err
		}
	}
	return nil
}

// owners are those who have something to hear, "" for the sender.
func (a *attempt) owners(actions []dsn.Action) (list []string) {
	have := map[string]bool{}
	for i, act := range actions {
		if owner := a.c.Envelope.Rcpts[i].Sender; act != "" && !have[owner] {
			list, have[owner] = append(list, owner), true
		}
	}
	return list
}

// reportTo sends one report.
func (a *attempt) reportTo(owner string, all []dsn.Action) error {
	e, actions := a.envelope(owner), make([]dsn.Action, len(all))
	for i, act := range all {
		if e.Rcpts[i].Sender == owner {
			actions[i] = act
		}
	}
	plan := dsn.Decide(&e, actions, "postmaster@"+a.Config.Hostname)
	for _, i := range plan.Lost {
		a.Log.Warning(string(a.ID), "nobody can be told that it did not reach <"+e.Rcpts[i].Address+">")
	}
	tell, err := a.untold(plan.Tell)
	if len(tell) == 0 || err != nil {
		return err
	}
	return a.sendReport(a.compose(&e, plan, actions, tell), actions, tell)
}

// actions are what there is to tell of each recipient; some says that there is anything.
func (a *attempt) actions() (actions []dsn.Action, some bool) {
	delayed, lists := a.delayed(), a.lists()
	for i := range a.c.Envelope.Rcpts {
		act := a.action(i, delayed, lists[i])
		if act == "" || act != dsn.Failed && !dsn.Wanted(a.notify(i), act) {
			continue
		}
		if actions == nil {
			actions = make([]dsn.Action, len(a.c.Envelope.Rcpts))
		}
		actions[i] = act
	}
	return actions, actions != nil
}

// action is what there is to tell of a recipient, who may be a list; delayed, if he still waits.
func (a *attempt) action(rcpt int, delayed dsn.Action, list bool) dsn.Action {
	if a.quiet[rcpt] || a.c.History.Reported(rcpt) {
		return ""
	}
	switch a.last(rcpt).Kind {
	case queue.Failed, queue.Expired:
		return dsn.Failed
	case queue.Delivered:
		return dsn.Delivered
	case queue.Relayed:
		if !a.c.Envelope.By.IsZero() {
			return dsn.Traced
		}
		return dsn.Relayed
	case queue.Expanded:
		if list {
			return dsn.Delivered
		}
		return dsn.Expanded
	case queue.Deferred:
		if delayed == dsn.Overdue && a.c.Envelope.Rcpts[rcpt].Sender != "" {
			return "" // the deadline is not the owner's
		}
		return delayed
	}
	return ""
}

// delayed is what there is to tell of recipients who still wait.
func (a *attempt) delayed() dsn.Action {
	after := a.Config.Queue.WarnAfter
	switch {
	case a.overdue():
		return dsn.Overdue
	case after > 0 && !a.c.History.Warned() && a.began.Sub(birth(&a.c.Envelope)) >= after:
		return dsn.Delayed
	}
	return ""
}

// untold leaves out recipients whose report was committed just before a crash.
func (a *attempt) untold(rcpts []int) ([]int, error) {
	var tell []int
	there := map[queue.ID]bool{}
	for _, i := range rcpts {
		id, ok := a.c.History.Intended(i)
		if !ok {
			tell = append(tell, i)
			continue
		}
		if _, known := there[id]; !known {
			var err error
			if there[id], err = a.committed(id); err != nil {
				return nil, err
			}
		}
		if there[id] {
			a.unsaved = append(a.unsaved, a.about(queue.Reported, i, id))
		} else {
			tell = append(tell, i)
		}
	}
	return tell, nil
}

// committed tells whether a report that was intended is in the spool, and whole: what a power cut left of its
// commit may be there under its name, and claiming it finds that out.
func (a *attempt) committed(id queue.ID) (bool, error) {
	e, err := a.Spool.Find(id)
	if err == nil {
		var c *queue.Claim
		if c, err = a.Spool.Claim(e); err == nil {
			return true, c.Close()
		}
	}
	if errors.Is(err, queue.ErrCorrupt) {
		a.Log.Corrupt(e.Name, "not a whole queue file")
		return false, nil
	}
	if errors.Is(err, queue.ErrGone) {
		return false, nil
	}
	return false, err
}

func (a *attempt) about(kind queue.Kind, rcpt int, report queue.ID) queue.Record {
	return queue.Record{Time: a.began, Kind: kind, Rcpts: queue.One(rcpt), ID: report}
}

// compose makes the report, but for its ID.
func (a *attempt) compose(e *queue.Envelope, plan dsn.Plan, actions []dsn.Action, tell []int) *dsn.Report {
	r := &dsn.Report{
		Date: a.Now(), ReportingMTA: a.Config.Hostname, To: plan.To, Double: plan.Double, MessageID: string(a.ID),
		Arrival: e.Arrival, EnvID: e.EnvID, Ret: e.Ret, By: e.By, UTF8: e.UTF8, Original: a.c.Body(),
	}
	end := birth(e).Add(a.Config.Queue.Lifetime)
	if !e.By.IsZero() && !e.ByNotify && e.By.Before(end) {
		end = e.By
	}
	for _, i := range tell {
		last := a.last(i)
		r.Rcpts = append(r.Rcpts, dsn.Rcpt{
			Address: a.shown(i), ORcpt: e.Rcpts[i].ORcpt, Action: actions[i], Status: recorded(last),
			Remote: remote(last.Relay), LastAttempt: last.Time, WillRetryUntil: end,
		})
	}
	return r
}

// shown is the address that a report has of a recipient. What commands and files an alias names is nobody's business.
func (a *attempt) shown(rcpt int) string {
	if agent := a.c.Envelope.Rcpts[rcpt].Agent; agent != "" && agent != route.AgentMailbox {
		return a.c.Envelope.Parent(rcpt)
	}
	return a.c.Envelope.Rcpts[rcpt].Address
}

// recorded is the status that a record was made of. A journal is a file: it may say anything.
func recorded(r queue.Record) *status.Status {
	if r.Kind == queue.Expanded {
		return expandedStatus(r.Text)
	}
	if c := status.Class(r.Code[0]); r.Reply/100 == r.Code[0] && (c == status.Success || c == status.Temporary || c == status.Permanent) {
		return status.New("queuerun.record", r.Reply, r.Code, r.Text, nil)
	}
	return status.New("queuerun.record", 450, status.Code{4, 0, 0}, r.Text, nil)
}

func remote(relay string) string {
	if relay == localRelay {
		return ""
	}
	return relay
}

// sendReport commits a report. That it is about to be is in the journal before, so that a crash in between makes
// neither none of it nor, as long as it is in the spool, two.
func (a *attempt) sendReport(r *dsn.Report, actions []dsn.Action, tell []int) error {
	d, err := a.Spool.NewDraft(r.Envelope())
	if err != nil {
		return err
	}
	r.ID = string(d.ID())
	if err := dsn.Write(d, r); err != nil {
		return errors.Join(fmt.Errorf("cannot write the report: %w", err), d.Abort())
	}
	var before, after []queue.Record
	for _, i := range tell {
		if actions[i] == dsn.Delayed || actions[i] == dsn.Overdue {
			after = append(after, a.about(queue.Warned, i, d.ID()))
			continue
		}
		before = append(before, a.about(queue.Intent, i, d.ID()))
		after = append(after, a.about(queue.Reported, i, d.ID()))
	}
	if len(before) > 0 { // a delay report is no loss, and may be late itself
		if err := a.save(before...); err != nil {
			return errors.Join(err, d.Abort())
		}
	}
	size := d.Size()
	e, err := d.Commit()
	if err != nil {
		return err
	}
	a.Log.Queued(r.ID, "", size, 1, -1, "", "")
	a.Log.Report(string(a.ID), r.ID, r.Kind())
	a.reports = append(a.reports, item{Entry: e, ours: true})
	a.unsaved, a.owed = append(a.unsaved, after...), true
	return nil
}
