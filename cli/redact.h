/*
 * What may not leave the house: passwords that somebody wrote into a URL, a command or a log. Lockstep's own secrets are references and
 * stand nowhere; this is for the words of others.
 */
#ifndef LOCKSTEP_CLI_REDACT_H
#define LOCKSTEP_CLI_REDACT_H

#include <stddef.h>

#include "lib/base/arena.h"

#define REDACTED "[left out]"

/* The text with REDACTED in place of: a URL's password (scheme://user:HERE@host); what follows = or : behind a word that ends
 * in password, passwd, secret, token, api_key, apikey, access_key or private_key (any case; "_" as "-"), up to a blank, comma, quote or bracket;
 * what stands between PEM's BEGIN and END of a private key. A reference to a file or the environment ({file: …}) stays. */
const char *redact(struct arena *arena, const char *text, size_t len);

#endif
