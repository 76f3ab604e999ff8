package config

import "slices"

// AliasFiles are those of Aliases that count. In a user installation the system's file, which is the default, is somebody
// else's: there only files that the configuration names do.
func (c Config) AliasFiles() []string {
	if c.User && slices.Equal(c.Aliases, Default().Aliases) {
		return nil
	}
	return c.Aliases
}
