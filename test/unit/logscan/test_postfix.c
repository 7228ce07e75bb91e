/* What Postfix 2.x and 3.x log, and what strangers can make them log. */
#include "logscan/postfix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
	const char *program, *message;
	const char *want; /* as render() writes it; NULL: not Postfix's */
};

#define SMTPD  "postfix/smtpd"
#define SCREEN "postfix/postscreen"
#define QMGR   "postfix/qmgr"
#define SMTP   "postfix/smtp"
#define LOCAL  "postfix/local"
#define CLEAN  "postfix/cleanup"
#define DENIED "NOQUEUE: reject: RCPT from a.b[192.0.2.1]: 554 5.7.1 <r@x.y>: Relay access denied; "

static const struct row arrivals[] = {
	{ SMTPD, "4A1B2C3D4E: client=a.b[192.0.2.1]",
	  "ARRIVAL 4A1B2C3D4E client=192.0.2.1:0 name=a.b" },
	{ SMTPD, "9852C2B: client=unknown[2001:db8::1]", "ARRIVAL 9852C2B client=[2001:db8::1]:0" },
	{ SMTPD, "4jZ2k839Sszs: client=unknown[IPv6:2001:db8::1]:46825",
	  "ARRIVAL 4jZ2k839Sszs client=[2001:db8::1]:46825" },
	{ "postfix/submission/smtpd",
	  "4jZ2k839Sszs: client=a_1-x.b[192.0.2.1]:46825, sasl_method=PLAIN, sasl_username=u",
	  "ARRIVAL 4jZ2k839Sszs client=192.0.2.1:46825 name=a_1-x.b auth" },
	{ "mx-in/smtpd", "4A1B2C3D4E: client=a.b[192.0.2.1], sasl_username=, client=c.d[8.8.8.8]",
	  "ARRIVAL 4A1B2C3D4E client=192.0.2.1:0 name=a.b auth" },
	/* any client may name a sasl_sender */
	{ SMTPD, "4A1B2C3D4E: client=a.b[192.0.2.1], sasl_sender=x, sasl_username=boss",
	  "ARRIVAL 4A1B2C3D4E client=192.0.2.1:0 name=a.b" },
	{ SMTPD,
	  "9CC0E30: client=localhost[127.0.0.1]:1, orig_queue_id=QQ1, orig_client=a[8.8.8.8]:1",
	  "ARRIVAL 9CC0E30 client=127.0.0.1:1 name=localhost" },
	{ "postfix/qmqpd", "4A1B2C3D4E: client=a.b[192.0.2.1]",
	  "ARRIVAL 4A1B2C3D4E client=192.0.2.1:0 name=a.b" },
	{ SMTPD, "4A1B2C3D4E: client=a.b[192.0.2.1]:65536", "UNPARSED" },
	{ SMTPD, "4A1B2C3D4E: client=a.b[192.0.2.1]:", "UNPARSED" },
	{ SMTPD, "4A1B2C3D4E: client=a.b[192.0.2.1], else=1", "UNPARSED" },
	{ SMTPD, "4A1B2C3D4E: client=a.b[192.0.2.1] ", "UNPARSED" },
	{ SMTPD, "4A1B2C3D4E: client=a.b[192.0.2.300]", "UNPARSED" },
	{ SMTPD, "4A1B2C3D4E: client=a b[192.0.2.1]", "UNPARSED" },
	{ SMTPD, "4A1B2C3D4E: client=[192.0.2.1]", "UNPARSED" },
	{ SMTPD, "4A1B2C3D4E: client=unknown[unknown]", "UNPARSED" },
	/* the filter before the queue hands it back as a message of its own */
	{ SMTPD, "NOQUEUE: client=a.b[192.0.2.1]", "OTHER" },
	{ "postfix/pickup", "4A1B2C3D4E: uid=0 from=<root>",
	  "ARRIVAL 4A1B2C3D4E local from=<root>" },
	{ "postfix/pickup", "4A1B2C3D4E: uid=33 from=<\"a b\"@c.d>",
	  "ARRIVAL 4A1B2C3D4E local from=<\"a b\"@c.d>" },
	{ "postfix/pickup", "4A1B2C3D4E: uid=0 from=<> orig_id=5A1B2C3D4E",
	  "ARRIVAL 4A1B2C3D4E local from=<>" },
	{ "postfix/pickup", "4A1B2C3D4E: uid=0 from=<a> from=<b>", "UNPARSED" },
	{ "postfix/pickup", "4A1B2C3D4E: uid=0 from=<a> orig_id=", "UNPARSED" },
	{ "postfix/pickup", "4A1B2C3D4E: uid=x from=<a>", "UNPARSED" },
	{ "postfix/pickup", "4A1B2C3D4E: message dated 9 seconds into the future", "OTHER" },
	{ CLEAN, "4A1B2C3D4E: message-id=<x@y>", "ARRIVAL 4A1B2C3D4E local weak" },
	{ CLEAN, "4A1B2C3D4E: resent-message-id=, 5A1B2C3D4E: client=a[8.8.8.8]",
	  "ARRIVAL 4A1B2C3D4E local weak" },
	{ CLEAN, "4A1B2C3D4E: client=a.b[192.0.2.1]", "OTHER" },
	{ "postfix/bounce", "4A1B2C3D4E: sender non-delivery notification: 5A1B2C3D4E",
	  "ARRIVAL 5A1B2C3D4E local from=<>" },
	{ "postfix/bounce", "4A1B2C3D4E: sender delivery status notification: 4jZ2k839Sszs",
	  "ARRIVAL 4jZ2k839Sszs local from=<>" },
	{ "postfix/bounce", "4A1B2C3D4E: postmaster delay notification: 5A1B2C3D4E",
	  "ARRIVAL 5A1B2C3D4E local from=<>" },
	{ "postfix/bounce", "4A1B2C3D4E: postmaster notice failed while bouncing to a@b", "OTHER" },
	{ "postfix/bounce", "4A1B2C3D4E: sender non-delivery notification: ", "UNPARSED" },
};

static const struct row queue[] = {
	{ QMGR, "4A1B2C3D4E: from=<a@b.c>, size=1234, nrcpt=2 (queue active)",
	  "QUEUED 4A1B2C3D4E from=<a@b.c> bytes=1234" },
	{ "postfix/oqmgr", "4A1B2C3D4E: from=<>, size=0, nrcpt=1 (queue active)",
	  "QUEUED 4A1B2C3D4E from=<> bytes=0" },
	{ QMGR,
	  "AA4603D: from=<\"a>, size=1, nrcpt=1 (queue active)\"@b.c>, size=183, nrcpt=3 (queue "
	  "active)",
	  "QUEUED AA4603D from=<\"a>, size=1, nrcpt=1 (queue active)\"@b.c> bytes=183" },
	{ QMGR,
	  "AA4603D: from=<a>, size=1, nrcpt=1 (queue active)@b.c>, size=2, nrcpt=3 (queue active)",
	  "UNPARSED" },
	{ QMGR, "4A1B2C3D4E: from=<a@b.c>, size=, nrcpt=2 (queue active)", "UNPARSED" },
	{ QMGR, "4A1B2C3D4E: from=<a@b.c>, size=99999999999999999999, nrcpt=2 (queue active)",
	  "UNPARSED" },
	{ QMGR, "4A1B2C3D4E: from=<a@b.c>, nrcpt=2 (queue active)", "UNPARSED" },
	{ QMGR, "4A1B2C3D4E: from=<>, status=expired, returned to sender", "OTHER" },
	{ QMGR, "4A1B2C3D4E: skipped, still being delivered", "OTHER" },
	{ QMGR, "4A1B2C3D4E: removed", "DONE 4A1B2C3D4E" },
	{ "postfix/postsuper", "4jZ2k839Sszs: removed", "DONE 4jZ2k839Sszs" },
	{ "postfix/postsuper", "4A1B2C3D4E: requeued", "OTHER" },
	{ QMGR, "warning: removed", "OTHER" },
	{ QMGR, "4A1B2: removed", "OTHER" },
	{ QMGR, "4A1B2C3D4E4A1B2C3D4E4: removed", "OTHER" },
	{ QMGR, "4A1B2C3D4E:removed", "OTHER" },
};

#define TIMES "delay=0.1, delays=0/0.1/0/0, dsn=2.0.0, "

static const struct row recipients[] = {
	{ LOCAL, "4A1B2C3D4E: to=<r@x.y>, relay=local, " TIMES "status=sent (delivered to mailbox)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> home" },
	{ LOCAL,
	  "4A1B2C3D4E: to=<root@h.i>, orig_to=<info@x.y>, relay=local, " TIMES "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<info@x.y> home" },
	{ LOCAL, "4A1B2C3D4E: to=<root@h.i>, orig_to=<root>, relay=local, " TIMES "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<root> home" },
	{ "postfix/virtual",
	  "4A1B2C3D4E: to=<r@x.y>, relay=virtual, " TIMES "status=sent (maildir)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> home" },
	{ "postfix/pipe", "4A1B2C3D4E: to=<r@x.y>, relay=dovecot, " TIMES "status=sent (dovecot)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> home" },
	{ "postfix/lmtp",
	  "4A1B2C3D4E: to=<r@x.y>, relay=h.i[private/dovecot-lmtp], " TIMES "status=sent (250 ok)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> home" },
	{ "postfix/lmtp",
	  "4A1B2C3D4E: to=<r@x.y>, relay=127.0.0.1[127.0.0.1]:24, conn_use=2, " TIMES
	  "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> home" },
	{ SMTP, "4A1B2C3D4E: to=<r@x.y>, relay=mx.x.y[192.0.2.9]:25, " TIMES "status=sent (250 ok)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> away 192.0.2.9" },
	{ "postfix/relay/smtp",
	  "4A1B2C3D4E: to=<r@x.y>, relay=mx.x.y[2001:db8::9]:25, " TIMES "status=sent (250 ok)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> away 2001:db8::9" },
	{ SMTP, "4A1B2C3D4E: to=<r@x.y>, relay=h[private/x], " TIMES "status=sent (250 ok)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> away" },
	{ SMTP, /* Postfix 2.2 */
	  "4A1B2C3D4E: to=<r@x.y>, relay=mx.x.y[192.0.2.9], delay=1, status=sent (250 ok)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> away 192.0.2.9" },
	{ SMTP, /* Postfix 3.11 */
	  "4A1B2C3D4E: to=<r@x.y>, relay=a[192.0.2.9]:25, delay=1, delays=0/0/0/1, "
	  "tls=(sts)/dane, dsn=2.0.0, status=sent (250 ok)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> away 192.0.2.9" },
	{ SMTP,
	  "4A1B2C3D4E: to=<s@X.Y>, orig_to=<r@x.y>, relay=a[192.0.2.9]:25, " TIMES
	  "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> away 192.0.2.9" },
	{ SMTP,
	  "4A1B2C3D4E: to=<s@g.h>, orig_to=<r@x.y>, relay=a[192.0.2.9]:25, " TIMES
	  "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y>" },
	{ SMTP,
	  "4A1B2C3D4E: to=<r@x.y>, relay=none, " TIMES "status=deferred (connect to a[8.8.8.8]:25)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y>" },
	{ SMTP,
	  "9DFFD31: to=<r@x.y>, relay=a[192.0.2.9]:25, " TIMES
	  "status=bounced (host a[192.0.2.9] said: 550 <x>: no; from=<a> to=<b> (in reply to "
	  "RCPT))",
	  "RECIPIENT 9DFFD31 to=<r@x.y>" },
	{ "postfix/error", "4A1B2C3D4E: to=<r@x.y>, relay=none, " TIMES "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y>" },
	{ "postfix/discard", "4A1B2C3D4E: to=<r@x.y>, relay=none, " TIMES "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y>" },
	{ QMGR,
	  "4A1B2C3D4E: to=<r@x.y>, relay=none, " TIMES
	  "status=deferred (mail transport unavailable)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y>" },
	{ LOCAL, "4A1B2C3D4E: to=<\"q r\"@x.y>, relay=local, " TIMES "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<\"q r\"@x.y> home" },
	{ LOCAL, "4A1B2C3D4E: to=<a@[192.0.2.1]>, relay=local, " TIMES "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<a@[192.0.2.1]> home" },
	{ SMTP,
	  "4A1B2C3D4E: to=<r@x.y>, relay=a[192.0.2.9]:25, " TIMES "status=deliverable (250 ok)",
	  "OTHER" },
	{ SMTP, "4A1B2C3D4E: to=<r@x.y>, relay=none, " TIMES "status=undeliverable (no)", "OTHER" },
	{ SMTP, "4A1B2C3D4E: host a[192.0.2.9] said: 450 <to=<r@x.y>, relay=a (in reply)",
	  "OTHER" },
	{ SMTP, "4A1B2C3D4E: lost connection with a[192.0.2.9] while sending RCPT TO", "OTHER" },
	{ SMTP, "connect to a[192.0.2.9]:25: Connection timed out", "OTHER" },
	/* a reply that imitates fields, but not the frame */
	{ SMTP,
	  "4A1B2C3D4E: to=<r@x.y>, relay=a[192.0.2.9]:25, " TIMES
	  "status=sent (250 to=<v@w.z>, orig_to=<v@w.z>, relay, status=bounced (x), dsn=5)",
	  "RECIPIENT 4A1B2C3D4E to=<r@x.y> away 192.0.2.9" },
	/* two ways to read it */
	{ SMTP,
	  "4A1B2C3D4E: to=<r@x.y>, relay=a[192.0.2.9]:25, " TIMES
	  "status=sent (250 <a@b>, relay=evil[198.51.100.66]:25, delay=1, status=sent (x))",
	  "UNPARSED" },
	/* quotes settle it */
	{ LOCAL,
	  "4A1B2C3D4E: to=<\"x>, relay=local, " TIMES "status=sent (y\"@x.y>, relay=local, " TIMES
	  "status=bounced (x)",
	  "RECIPIENT 4A1B2C3D4E to=<\"x>, relay=local, " TIMES "status=sent (y\"@x.y>" },
	{ LOCAL,
	  "4A1B2C3D4E: to=<v@w.z>, relay=local, " TIMES "status=sent (y@x.y>, relay=local, " TIMES
	  "status=bounced (x)",
	  "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<\"x>, orig_to=<y\"@x.y>, relay=local, " TIMES "status=sent (x)",
	  "RECIPIENT 4A1B2C3D4E to=<\"x>, orig_to=<y\"@x.y> home" },
	{ LOCAL,
	  "4A1B2C3D4E: to=<x>, orig_to=<v@w.z>, orig_to=<r@x.y>, relay=local, " TIMES
	  "status=sent (x)",
	  "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<x@[y>, orig_to=<z]>, relay=local, " TIMES "status=sent (x)",
	  "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<a b@x.y>, relay=local, " TIMES "status=sent (x)", "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<>, relay=local, " TIMES "status=sent (x)", "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<r@x.y>, relay=local, " TIMES "status=sent (x", "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<r@x.y>, relay=local, " TIMES "status=sent", "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<r@x.y>, relay=local, status=sent (x)", "UNPARSED" },
	{ LOCAL, "4A1B2C3D4E: to=<r@x.y>", "UNPARSED" },
};

static const struct row refusals[] = {
	{ SMTPD, DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<h.i>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=h.i from=<s@a.b> to=<r@x.y>" },
	{ SMTPD,
	  "9CC0E30: reject: RCPT from localhost[127.0.0.1]:59245: 550 5.1.1 <b@x.y>: Recipient "
	  "address rejected: gone; from=<> to=<b@x.y> proto=SMTP helo=<f>",
	  "REFUSED 9CC0E30 client=127.0.0.1:59245 name=localhost helo=f from=<> to=<b@x.y>" },
	{ SMTPD,
	  "NOQUEUE: reject: RCPT from unknown[2001:db8::1]: 450 4.7.1 Client host rejected: "
	  "cannot find your hostname, [2001:db8::1]; from=<> to=<root> proto=SMTP",
	  "REFUSED  client=[2001:db8::1]:0 from=<> to=<root>" },
	{ SMTPD,
	  "4A1B2C3D4E: milter-reject: RCPT from a.b[192.0.2.1]: 451 4.7.1 greylisted; "
	  "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<h>",
	  "REFUSED 4A1B2C3D4E client=192.0.2.1:0 name=a.b helo=h from=<s@a.b> to=<r@x.y>" },
	{ SCREEN,
	  "NOQUEUE: reject: RCPT from [192.0.2.1]:4711: 550 5.7.1 Service unavailable; client "
	  "[192.0.2.1] blocked using a.b; from=<s@a.b>, to=<r@x.y>, proto=ESMTP, helo=<h>",
	  "REFUSED  client=192.0.2.1:4711 helo=h from=<s@a.b> to=<r@x.y>" },
	{ SCREEN,
	  "NOQUEUE: reject: RCPT from [2001:db8::1]:4711: 450 4.3.2 Service currently unavailable; "
	  "from=<>, to=<r@x.y>, proto=SMTP, helo=<>",
	  "REFUSED  client=[2001:db8::1]:4711 from=<> to=<r@x.y>" },
	/* who an authenticated client is comes after its HELO, which may say the same */
	{ SMTPD, DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<h> sasl_username=<boss>",
	  "REFUSED  client=192.0.2.1:0 name=a.b from=<s@a.b> to=<r@x.y>" },
	/* imitations that leave one way to read the line */
	{ SMTPD,
	  DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<; from=<q@v.w> from c[8.8.8.8]: >",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=; from=<q@v.w> from c[8.8.8.8]:  from=<s@a.b> "
	  "to=<r@x.y>" },
	{ SMTPD,
	  "NOQUEUE: reject: RCPT from a.b[192.0.2.1]: 454 4.7.1 <a> proto=ESMTP helo=<x@x.y>: "
	  "Relay "
	  "access denied; from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<h>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=h from=<s@a.b> to=<r@x.y>" },
	{ SMTPD, DENIED "from=<\"a>, to=<b\"@a.b> to=<\"r s\"@x.y> proto=ESMTP helo=<h>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=h from=<\"a>, to=<b\"@a.b> to=<\"r s\"@x.y>" },
	/* two ways: in HELO, sender, recipient, reply */
	{ SMTPD,
	  DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<x; from=<q@v.w> to=<z@v.w> proto=ESMTP "
		 "helo=<y>",
	  "UNPARSED" },
	/* quotes settle these */
	{ SMTPD,
	  DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<x> to=<z@v.w> proto=ESMTP helo=<y>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=x> to=<z@v.w> proto=ESMTP helo=<y "
	  "from=<s@a.b> to=<r@x.y>" },
	{ SMTPD, DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<x> proto=ESMTP helo=<y>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=x> proto=ESMTP helo=<y from=<s@a.b> "
	  "to=<r@x.y>" },
	{ SMTPD, DENIED "from=<\"a; from=<b\"@a.b> to=<r@x.y> proto=ESMTP helo=<h>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=h from=<\"a; from=<b\"@a.b> to=<r@x.y>" },
	{ SMTPD, DENIED "from=<\"a> to=<b\"@a.b> to=<r@x.y> proto=ESMTP helo=<h>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=h from=<\"a> to=<b\"@a.b> to=<r@x.y>" },
	{ SMTPD,
	  DENIED "from=<a@[x> to=<z@v.w> proto=ESMTP helo=<q]> to=<r@x.y> proto=ESMTP helo=<h>",
	  "UNPARSED" },
	{ SMTPD,
	  DENIED "from=<a@b.[x> to=<z@v.w> proto=ESMTP helo=<q]> to=<r@x.y> proto=ESMTP helo=<h>",
	  "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b> to=<\"a> proto=ESMTP helo=<x\"@x.y> proto=ESMTP helo=<h>",
	  "REFUSED  client=192.0.2.1:0 name=a.b helo=h from=<s@a.b> "
	  "to=<\"a> proto=ESMTP helo=<x\"@x.y>" },
	{ SMTPD,
	  "NOQUEUE: reject: RCPT from a.b[192.0.2.1]: 454 4.7.1 <a; from=<q@v.w> to=<z@v.w> "
	  "proto=ESMTP helo=<x>@x.y>: Relay access denied; from=<s@a.b> to=<\"a; from=<q@v.w> "
	  "to=<z@v.w> proto=ESMTP helo=<x>\"@x.y> proto=ESMTP helo=<h>",
	  "UNPARSED" },
	{ SCREEN,
	  "NOQUEUE: reject: RCPT from [192.0.2.1]:4711: 450 4.3.2 x; from=<s@a.b>, to=<r@x.y>, "
	  "proto=ESMTP, helo=<x>, to=<z@v.w>, proto=ESMTP, helo=<y>",
	  "REFUSED  client=192.0.2.1:4711 helo=x>, to=<z@v.w>, proto=ESMTP, helo=<y "
	  "from=<s@a.b> to=<r@x.y>" },
	{ SCREEN,
	  "NOQUEUE: reject: RCPT from [192.0.2.1]:4711: 450 4.3.2 x; from=<s@a.b>, to=<r@x.y>, "
	  "proto=ESMTP, helo=<x; from=<q@v.w>, to=<z@v.w>, proto=ESMTP, helo=<y>",
	  "UNPARSED" },
	/* addresses that end elsewhere by their quotes than by the frame */
	{ SMTPD, DENIED "from=<\"s@a.b> to=<r@x.y> proto=ESMTP helo=<h>", "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP to=<z> proto=SMTP", "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b> to=<r s@x.y> proto=ESMTP helo=<h>", "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b> to=<> proto=ESMTP helo=<h>", "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<h> more", "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b> to=<r@x.y> proto=HTTP helo=<h>", "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b>, to=<r@x.y>, proto=ESMTP, helo=<h>", "UNPARSED" },
	{ SMTPD, DENIED "from=<s@a.b> proto=ESMTP helo=<h>", "UNPARSED" },
	{ SMTPD, "NOQUEUE: reject: RCPT from [192.0.2.1]:1: 4; from=<s> to=<r> proto=SMTP",
	  "UNPARSED" },
	{ SCREEN, "NOQUEUE: reject: RCPT from a[192.0.2.1]:1: 4; from=<s>, to=<r>, proto=SMTP",
	  "UNPARSED" },
	{ SMTPD, "NOQUEUE: reject: RCPT from a[192.0.2.1] 4; from=<s> to=<r> proto=SMTP",
	  "UNPARSED" },
	/* no recipient was refused */
	{ SMTPD, "NOQUEUE: reject: MAIL from a.b[192.0.2.1]: 450 x; from=<s> to=<r> proto=ESMTP",
	  "OTHER" },
	{ SMTPD, "NOQUEUE: reject: CONNECT from a.b[192.0.2.1]: 450 x; proto=SMTP", "OTHER" },
	{ SMTPD, "NOQUEUE: reject_warning: RCPT from a.b[192.0.2.1]: 4; from=<s> to=<r> proto=SMTP",
	  "OTHER" },
	{ SMTPD, "NOQUEUE: filter: RCPT from a.b[192.0.2.1]: <x>; from=<s> to=<r> proto=SMTP",
	  "OTHER" },
	{ SMTPD, "4A1B2C3D4E: hold: RCPT from a.b[192.0.2.1]: <x>; from=<s> to=<r> proto=SMTP",
	  "OTHER" },
	{ SMTPD, "NOQUEUE: warn: RCPT from a.b[192.0.2.1]: <x>; from=<s> to=<r> proto=SMTP",
	  "OTHER" },
	{ SCREEN, "NOQUEUE: reject: CONNECT from [192.0.2.1]:4711: all server ports busy",
	  "OTHER" },
	{ CLEAN,
	  "4A1B2C3D4E: milter-reject: END-OF-MESSAGE from a.b[192.0.2.1]: 5.7.1 spam; "
	  "from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<h>",
	  "OTHER" },
	{ CLEAN,
	  "4A1B2C3D4E: reject: header Subject: reject: RCPT from a.b[192.0.2.1]: 5; from "
	  "a.b[192.0.2.1]; from=<s@a.b> to=<r@x.y> proto=ESMTP helo=<h>: no",
	  "OTHER" },
	{ SMTPD, "connect from a.b[192.0.2.1]", "OTHER" },
	{ SMTPD, "warning: client=a.b[192.0.2.1]", "OTHER" },
	{ SMTPD, "", "OTHER" },
};

static const struct row programs[] = {
	{ "postfix/trivial-rewrite", "4A1B2C3D4E: removed", "DONE 4A1B2C3D4E" },
	{ "postfix/anvil", "statistics: max", "OTHER" },
	{ "postfix/postfix-script", "starting", "OTHER" },
	{ "postfix/amavis/smtp", "4A1B2C3D4E: removed", "DONE 4A1B2C3D4E" },
	{ "postfix", "4A1B2C3D4E: removed", NULL },
	{ "smtpd", "4A1B2C3D4E: client=a.b[192.0.2.1]", NULL },
	{ "postfix/smtpdx", "4A1B2C3D4E: client=a.b[192.0.2.1]", NULL },
	{ "postfix/", "4A1B2C3D4E: removed", NULL },
	{ "postfix/smtpd/x", "4A1B2C3D4E: removed", NULL },
	{ "dovecot", "lmtp(1): x", NULL },
	{ "exim", "x", NULL },
	{ "opendkim", "4A1B2C3D4E: client=a.b[192.0.2.1]", NULL },
	{ "postfix/policy-spf", "x", NULL },
	{ "", "", NULL },
};

static bool tells(const struct entry *e)
{
	return e->kind != ENTRY_OTHER && e->kind != ENTRY_UNPARSED;
}

static size_t put(char *out, size_t at, const char *name, struct sv v, const char *end)
{
	return at + (size_t)sprintf(out + at, " %s" SV_FMT "%s", name, SV_ARG(v), end);
}

static const char *render(const struct entry *e, char *out)
{
	static const char *const kinds[] = {
		[ENTRY_OTHER] = "OTHER",         [ENTRY_UNPARSED] = "UNPARSED",
		[ENTRY_ARRIVAL] = "ARRIVAL",     [ENTRY_QUEUED] = "QUEUED",
		[ENTRY_RECIPIENT] = "RECIPIENT", [ENTRY_DONE] = "DONE",
		[ENTRY_REFUSED] = "REFUSED",
	};
	size_t n = (size_t)sprintf(out, "%s", kinds[e->kind]);
	char address[ADDR_STRLEN + 8];

	if (tells(e))
		n = put(out, n, "", e->id, "");
	if (e->local)
		n = put(out, n, "local", SV(""), "");
	if (e->weak)
		n = put(out, n, "weak", SV(""), "");
	if (e->has_client)
		n = put(out, n, "client=", sv_from(endpoint_format(&e->client, address)), "");
	if (e->client_name.n)
		n = put(out, n, "name=", e->client_name, "");
	if (e->helo.n)
		n = put(out, n, "helo=", e->helo, "");
	if (e->authenticated)
		n = put(out, n, "auth", SV(""), "");
	if (e->has_sender)
		n = put(out, n, "from=<", e->sender, ">");
	if (e->has_bytes)
		n += (size_t)sprintf(out + n, " bytes=%llu", (unsigned long long)e->bytes);
	if (e->recipient.n)
		n = put(out, n, "to=<", e->recipient, ">");
	if (e->way != WAY_UNKNOWN)
		n = put(out, n, e->way == WAY_LOCAL ? "home" : "away", SV(""), "");
	if (e->has_next_hop)
		put(out, n, "", sv_from(addr_format(&e->next_hop, address)), "");
	return out;
}

/* What is left of a line that tells something tells the same, or nothing. */
static void check_cut(const struct row *row, const struct entry *whole)
{
	for (size_t n = 0; n < strlen(row->message); n++) {
		struct entry e = { 0 };
		char *exact = malloc(n ? n : 1);

		assert_non_null(exact);
		memcpy(exact, row->message, n);
		assert_true(postfix_parse(sv_from(row->program), (struct sv) { exact, n }, &e));
		if (tells(whole) && tells(&e)) {
			assert_int_equal(e.kind, whole->kind);
			assert_int_equal(e.has_client, whole->has_client);
			assert_true(addr_eq(&e.client.addr, &whole->client.addr));
			assert_true(sv_eq(e.client_name, whole->client_name));
			assert_true(sv_eq(e.sender, whole->sender));
			assert_true(sv_eq(e.recipient, whole->recipient));
			assert_int_equal(e.way, whole->way);
		}
		free(exact);
	}
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct entry e = { 0 };
		char out[1024];
		bool known = postfix_parse(sv_from(rows[i].program), sv_from(rows[i].message), &e);

		assert_int_equal(known, rows[i].want != NULL);
		if (!known)
			continue;
		if (strcmp(render(&e, out), rows[i].want) != 0)
			print_error("%s: %s\n", rows[i].program, rows[i].message);
		assert_string_equal(out, rows[i].want);
		check_cut(&rows[i], &e);
	}
}

static void test_arrivals(void **state)
{
	check_rows(arrivals, ARRAY_SIZE(arrivals));
}

static void test_queue(void **state)
{
	check_rows(queue, ARRAY_SIZE(queue));
}

static void test_recipients(void **state)
{
	check_rows(recipients, ARRAY_SIZE(recipients));
}

static void test_refusals(void **state)
{
	check_rows(refusals, ARRAY_SIZE(refusals));
}

static void test_programs(void **state)
{
	check_rows(programs, ARRAY_SIZE(programs));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arrivals),   cmocka_unit_test(test_queue),
		cmocka_unit_test(test_recipients), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
