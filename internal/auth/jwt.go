package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"postrider/internal/fsys"
)

// tokenKeys are the public keys of those whose tokens (RFC 7519) are good. Which algorithm may be used follows from the
// key, and never from the token alone (RFC 8725 section 3.1).
type tokenKeys []crypto.PublicKey

// The least that a key of RSA may have, in bits, and the most that a file of keys may.
const (
	minRSA      = 2048
	maxKeyBytes = 64 << 10
)

// readTokenKeys reads a PEM file of one or several public keys.
func readTokenKeys(path string) (keys tokenKeys, err error) {
	rest, err := fsys.ReadFile(path, maxKeyBytes)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("%s: has a %s, but should have a PUBLIC KEY", path, block.Type)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err == nil {
			err = usable(key)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: has no PUBLIC KEY in PEM", path)
	}
	return keys, nil
}

func usable(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return fmt.Errorf("a key of RSA with %d bits, less than %d", k.N.BitLen(), minRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return errors.New("a key on another curve than P-256")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return errors.New("neither a key of RSA nor on P-256 nor of Ed25519")
}

// claimed reads a token that one of the keys has signed.
func (keys tokenKeys) claimed(_ context.Context, token string) (c claims, err error) {
	signed, signature, err := splitToken(token)
	if err != nil {
		return c, errToken
	}
	head, body, _ := strings.Cut(signed, ".")
	algorithm, err := parseHeader(head)
	if err != nil {
		return c, errToken
	}
	for _, key := range keys {
		if !verify(key, algorithm, []byte(signed), signature) {
			continue
		}
		text, err := decodePart(body)
		if err == nil {
			c, err = parseClaims(text)
		}
		if err != nil || c.Expires == nil {
			return claims{}, errToken
		}
		c.Username = "" // means something in the answer of an endpoint only
		return c, nil
	}
	return c, errToken
}

// parseHeader finds the algorithm.
func parseHeader(head string) (algorithm string, err error) {
	text, err := decodePart(head)
	if err != nil {
		return "", err
	}
	header, err := parseObject(text)
	if err != nil {
		return "", err
	}
	if _, critical := header["crit"]; critical {
		return "", errToken // RFC 7515 section 4.1.11: what is critical must be understood
	}
	err = header.get("alg", &algorithm)
	return algorithm, err
}

// splitToken takes a token apart into what is signed, header and body, and the signature.
func splitToken(token string) (signed string, signature []byte, err error) {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 || len(token) > maxToken || strings.Count(token, ".") != 2 {
		return "", nil, errToken
	}
	signature, err = base64.RawURLEncoding.Strict().DecodeString(token[dot+1:])
	return token[:dot], signature, err
}

func decodePart(part string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

// verify tells whether a key has signed what it seems to have, with an algorithm of this kind of key (RFC 7518 section
// 3.1, RFC 8037).
func verify(key crypto.PublicKey, algorithm string, signed, signature []byte) bool {
	sum := sha256.Sum256(signed)
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch algorithm {
		case "RS256":
			return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
		case "PS256":
			return rsa.VerifyPSS(k, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	case *ecdsa.PublicKey:
		if algorithm == "ES256" && len(signature) == 64 {
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return ecdsa.Verify(k, sum[:], r, s)
		}
	case ed25519.PublicKey:
		return algorithm == "EdDSA" && ed25519.Verify(k, signed, signature)
	}
	return false
}
