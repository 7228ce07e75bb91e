/* Fronted dialogs: answered from here until the backend is needed. */
#include "dialog/talk.h"

#define BAD_RCPT "550 5.7.1 no\r\n"
#define MET      XC(OWNER_BANNER), C("EHLO c.net\r\n"), XC(OWNER_EHLO)
#define FROM     C("MAIL FROM:<s@c.net>\r\n"), XC("250 2.1.0 Sender ok\r\n")
#define CATCH_UP                                                                                   \
	B(CALM), XB("EHLO c.net\r\n"), B(EHLO_REPLY), XB("MAIL FROM:<s@c.net>\r\n"), B("250 s\r\n")

static const struct talk talks[] = {
	{ "refusals alone never ask for the backend", .fronted = true,
	  .steps = { XC(OWNER_BANNER), C("EHLO c.net\r\nNOOP\r\nRSET\r\nMAIL FROM:<s@c.net>\r\n"),
		     XC(OWNER_EHLO "250 2.0.0 OK\r\n250 2.0.0 Reset\r\n250 2.1.0 Sender ok\r\n"),
		     C("RCPT TO:<bad@b.net>\r\nRCPT TO:<soft@b.net>\r\nDATA\r\n"
		       "BDAT 6 LAST\r\nQUIT\r\nQUIT\r\n"),
		     XC(BAD_RCPT "450 4.7.1 no\r\n" NO_RCPTS NO_RCPTS "221 2.0.0 " OWNER_HOSTNAME
				 " closing\r\n"),
		     STATE(DIALOG_CLOSING), CONNECTS(0) },
	  .ends = "bad@b.net 550/0:0, soft@b.net 450/0:0" },
	{ "order of commands is watched here", .fronted = true,
	  .steps = { XC(OWNER_BANNER),
		     C("HELO c.net\r\nRCPT TO:<bad@b.net>\r\nDATA\r\nBDAT 1\r\nx"),
		     XC("250 " OWNER_HOSTNAME "\r\n503 5.5.1 Sender first\r\n"
			"503 5.5.1 Recipient first\r\n503 5.5.1 Sender and recipient first\r\n"),
		     FROM, C("MAIL FROM:<t@c.net>\r\nDATA\r\nSTARTTLS\r\nEXPN x\r\nFOO\r\n"),
		     XC("503 5.5.1 Sender already given\r\n503 5.5.1 Recipient first\r\n"
			"502 5.5.1 Command not offered\r\n502 5.5.1 Command not offered\r\n"
			"500 5.5.1 Command unknown\r\n"),
		     CONNECTS(0) },
	  .ends = "" },
	{ "a permitted recipient fetches the backend, which hears all again", .fronted = true,
	  .steps = { MET,
		     FROM,
		     C("RCPT TO:<bad@b.net>\r\n"),
		     XC(BAD_RCPT),
		     CONNECTS(0),
		     C("RCPT TO:<ok@b.net>\r\nDATA\r\n"),
		     CONNECTS(1),
		     WAITS(DIALOG_WAIT_BACKEND),
		     CATCH_UP,
		     XB("RCPT TO:<ok@b.net>\r\nDATA\r\n"),
		     B("250 r\r\n"),
		     XC("250 r\r\n"),
		     B("354 go\r\n"),
		     XC("354 go\r\n"),
		     C("x\r\n.\r\n"),
		     XB("x\r\n.\r\n"),
		     B("250 q\r\n"),
		     XC("250 q\r\n"),
		     C("QUIT\r\n"),
		     XB("QUIT\r\n"),
		     B("221 bye\r\n"),
		     XC("221 bye\r\n") },
	  .ends = "bad@b.net 550/0:0, ok@b.net 250/250:3" },
	{ "the last EHLO and MAIL are repeated", .fronted = true,
	  .steps = { MET, FROM, C("EHLO d.net\r\n"), XC(OWNER_EHLO),
		     C("MAIL FROM:<>\r\nRSET\r\nmail from:<t@c.net> BODY=8BITMIME\r\n"),
		     XC("250 2.1.0 Sender ok\r\n250 2.0.0 Reset\r\n250 2.1.0 Sender ok\r\n"),
		     C("RCPT TO:<ok@b.net>\r\n"), B(CALM), XB("EHLO d.net\r\n"), B(EHLO_REPLY),
		     XB("MAIL FROM:<t@c.net> BODY=8BITMIME\r\n"), B("250 s\r\n"),
		     XB("RCPT TO:<ok@b.net>\r\n"), B("550 r\r\n"), XC("550 r\r\n") } },
	{ "pipelined with mixed verdicts", .fronted = true,
	  .steps = { MET,
		     C("MAIL FROM:<s@c.net>\r\nRCPT TO:<bad1@b.net>\r\nRCPT TO:<ok1@b.net>\r\n"
		       "RCPT TO:<bad2@b.net>\r\nRCPT TO:<tag@b.net>\r\nRCPT TO:<ok2@b.net>\r\n"
		       "DATA\r\n"),
		     XC("250 2.1.0 Sender ok\r\n" BAD_RCPT), CONNECTS(1), CATCH_UP,
		     XB("RCPT TO:<ok1@b.net>\r\nRCPT TO:<ok2@b.net>\r\nDATA\r\n"),
		     B("250 r1\r\n250 r2\r\n354 go\r\n"),
		     XC("250 r1\r\n" BAD_RCPT
			"452 4.5.3 This recipient needs a message of its own\r\n250 r2\r\n"
			"354 go\r\n"),
		     C(".\r\n"), XB(".\r\n"), B("250 q\r\n"), XC("250 q\r\n") },
	  .ends = "bad1@b.net 550/0:0, ok1@b.net 250/250:0, bad2@b.net 550/0:0, "
		  "tag@b.net 452/0:0, ok2@b.net 250/250:0" },
	{ "recipients that wait while the backend comes", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok1@b.net>\r\nRCPT TO:<wait-ok2@b.net>\r\nRSET\r\n"),
		     B(CALM), XB("EHLO c.net\r\n"), VERDICT("wait-ok2"), B(EHLO_REPLY),
		     XB("MAIL FROM:<s@c.net>\r\n"), B("250 s\r\n"),
		     XB("RCPT TO:<ok1@b.net>\r\nRCPT TO:<wait-ok2@b.net>\r\nRSET\r\n"),
		     B("250 r1\r\n250 r2\r\n250 x\r\n"), XC("250 r1\r\n250 r2\r\n250 x\r\n") } },
	{ "chunks count on what the backend offers, not on what was said here", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok@b.net>\r\n"), B(CALM), XB("EHLO c.net\r\n"),
		     B("250-b\r\n250 HELP\r\n"), XB("MAIL FROM:<s@c.net>\r\n"), B("250 s\r\n"),
		     XB("RCPT TO:<ok@b.net>\r\n"), B("250 r\r\n"), XC("250 r\r\n"),
		     C("BDAT 21 LAST\r\nRCPT TO:<bad@b.net>\r\nNOOP\r\n"),
		     XC("503 5.5.1 CHUNKING was not offered\r\n"), XB("NOOP\r\n") } },
	{ "keywords in an answer to HELO offer nothing", .fronted = true,
	  .steps = { XC(OWNER_BANNER), C("HELO c.net\r\n"), XC("250 " OWNER_HOSTNAME "\r\n"), FROM,
		     C("RCPT TO:<ok@b.net>\r\n"), B(CALM), XB("HELO c.net\r\n"), B(EHLO_REPLY),
		     XB("MAIL FROM:<s@c.net>\r\n"), B("250 s\r\n"), XB("RCPT TO:<ok@b.net>\r\n"),
		     B("250 r\r\n"), XC("250 r\r\n"),
		     C("BDAT 21 LAST\r\nRCPT TO:<bad@b.net>\r\nNOOP\r\n"),
		     XC("503 5.5.1 CHUNKING was not offered\r\n"), XB("NOOP\r\n") } },
	{ "chunks, tagged", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<tag@b.net>\r\nBDAT 1 LAST\r\nx"), CATCH_UP,
		     XB("RCPT TO:<tag@b.net>\r\n"), B("250 r\r\n"), XC("250 r\r\n"),
		     XB("BDAT 71 LAST\r\nX-Frontdoor: direct; client=192.0.2.9;\r\n "
			"domain=b.net;\r\n"
			" mx=mx.b.net\r\nx"),
		     B("250 q\r\n"), XC("250 q\r\n") },
	  .ends = "tag@b.net 250/250:1" },

	/* ---- the backend comes otherwise ---- */
	{ "the backend can't be reached", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok@b.net>\r\n"), EOF_B, XC(CLOSED),
		     STATE(DIALOG_CLOSING) },
	  .ends = "ok@b.net 0/0:0" },
	{ "the backend does not greet in time", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok@b.net>\r\n"), WAITS(DIALOG_WAIT_BACKEND), TIMEOUT,
		     XC(SILENT) } },
	{ "the backend refuses with its greeting", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok@b.net>\r\n"), B("554 no\r\n"), XC("554 no\r\n"),
		     STATE(DIALOG_CLOSING) } },
	{ "the backend refuses EHLO", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok@b.net>\r\n"), B(CALM), XB("EHLO c.net\r\n"),
		     B("550 who\r\n"), XC("550 who\r\n"), STATE(DIALOG_CLOSING) } },
	{ "the backend sends garbage for a greeting", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok@b.net>\r\n"), B("x"), XC(NO_REPLY) } },
	{ "the backend refuses the sender: its words for each recipient, now and later",
	  .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok1@b.net>\r\nRCPT TO:<wait-ok2@b.net>\r\n"), B(CALM),
		     XB("EHLO c.net\r\n"), B(EHLO_REPLY), XB("MAIL FROM:<s@c.net>\r\n"),
		     B("451 slow down\r\n"), XC("451 slow down\r\n"), VERDICT("wait-ok2"),
		     XC("451 slow down\r\n"),
		     C("RCPT TO:<bad@b.net>\r\nRCPT TO:<ok3@b.net>\r\nDATA\r\n"),
		     XC(BAD_RCPT "451 slow down\r\n" NO_RCPTS), BUSY(0), SENDER,
		     RCPT("ok4", "250 r") },
	  .ends = "ok1@b.net 451/0:0, wait-ok2@b.net 451/0:0, bad@b.net 550/0:0, ok3@b.net "
		  "451/0:0, "
		  "ok4@b.net 250/0:0" },
	{ "the backend answers the sender with 421", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok1@b.net>\r\nRCPT TO:<ok2@b.net>\r\n"), B(CALM),
		     XB("EHLO c.net\r\n"), B(EHLO_REPLY), XB("MAIL FROM:<s@c.net>\r\n"),
		     B("421 bye\r\n"), XC("421 bye\r\n"), STATE(DIALOG_CLOSING) } },

	/* ---- other commands that need it ---- */
	{ "VRFY", .fronted = true,
	  .steps = { MET, C("VRFY s\r\nNOOP\r\n"), CONNECTS(1), WAITS(DIALOG_WAIT_BACKEND), B(CALM),
		     XB("EHLO c.net\r\n"), B(EHLO_REPLY), XB("VRFY s\r\nNOOP\r\n"),
		     B("252 v\r\n250 n\r\n"), XC("252 v\r\n250 n\r\n") } },
	{ "VRFY in an envelope, without EHLO", .fronted = true,
	  .steps = { XC(OWNER_BANNER), FROM, C("VRFY s\r\n"), B(CALM),
		     XB("MAIL FROM:<s@c.net>\r\n"), B("250 s\r\n"), XB("VRFY s\r\n"),
		     B("252 v\r\n"), XC("252 v\r\n"), RCPT("ok", "250 r") } },
	{ "VRFY first of all", .fronted = true,
	  .steps = { XC(OWNER_BANNER), C("HELP\r\n"), B(CALM), XB("HELP\r\n"), B("214 h\r\n"),
		     XC("214 h\r\n") } },
	{ "the client closes behind VRFY, and is answered", .fronted = true,
	  .steps = { MET, C("VRFY s\r\n"), EOF_C, STATE(DIALOG_TALKING), B(CALM),
		     XB("EHLO c.net\r\n"), B(EHLO_REPLY), XB("VRFY s\r\n"), B("252 v\r\n"),
		     XC("252 v\r\n") } },
	{ "AUTH, and what follows is copied", .fronted = true, .relay = true,
	  .steps = { MET, C("AUTH PLAIN x\r\nMAIL"), CONNECTS(1), B(CALM), XB("EHLO c.net\r\n"),
		     B(EHLO_REPLY), XB("AUTH PLAIN x\r\n"), B("235 in\r\n"), XC("235 in\r\n"),
		     STATE(DIALOG_RELAY), XB("MAIL") } },
	{ "STARTTLS", .fronted = true, .starttls = DIALOG_STARTTLS_PASS,
	  .steps = { MET, C("STARTTLS\r\n"), B(CALM), XB("EHLO c.net\r\n"), B(EHLO_REPLY),
		     XB("STARTTLS\r\n"), B("220 go\r\n"), XC("220 go\r\n"), STATE(DIALOG_RELAY) } },
	{ "after a refused recipient, AUTH repeats the sender too", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<bad@b.net>\r\nAUTH PLAIN x\r\n"), XC(BAD_RCPT),
		     CATCH_UP, XB("AUTH PLAIN x\r\n"), B("503 no\r\n"), XC("503 no\r\n"),
		     C("DATA\r\n"), XC(NO_RCPTS) } },

	/* ---- ends ---- */
	{ "client closes", .fronted = true,
	  .steps = { MET, EOF_C, STATE(DIALOG_CLOSING), CONNECTS(0) } },
	{ "no command in time", .fronted = true,
	  .steps = { MET, WAITS(DIALOG_WAIT_COMMAND), TIMEOUT, XC(IDLE_LIMIT), CONNECTS(0) } },
	{ "drain when idle", .fronted = true, .steps = { MET, DRAIN, XC(DRAINED) } },
	{ "drain while the backend comes", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<ok@b.net>\r\n"), DRAIN, STATE(DIALOG_TALKING), CATCH_UP,
		     XB("RCPT TO:<ok@b.net>\r\n"), B("550 r\r\n"), XC("550 r\r\n"),
		     STATE(DIALOG_TALKING), C("RSET\r\n"), XB("RSET\r\n"), B("250 r\r\n"),
		     XC("250 r\r\n" DRAINED) } },
	{ "tarpit without a backend", .fronted = true,
	  .steps = { MET, FROM, C("RCPT TO:<drip@b.net>\r\n"), STATE(DIALOG_TARPIT),
		     TARPIT(BAD_RCPT), CONNECTS(0) } },
};

int main(void)
{
	return talk_main(talks, ARRAY_SIZE(talks));
}
