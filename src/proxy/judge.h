/*
 * From RCPT to verdict: gathers the facts that policy needs about each domain that an address
 * names, asks the resolver for what is missing, decides, tells the dialog, and writes the event
 * when it is known what became of the recipient.
 */
#pragma once

#include "smtp/dialog.h"

struct worker_shared;

/* ops->rcpt_near, rcpt, rcpt_reply, rcpt_end of a session's dialog; dialog->user is the session. */
void judge_rcpt_near(struct dialog *d, const struct smtp_path *path);
void judge_rcpt(struct dialog *d, struct dialog_rcpt *rcpt);
void judge_rcpt_reply(struct dialog *d, struct dialog_rcpt *rcpt, int code, struct sv reply);
void judge_rcpt_end(struct dialog *d, struct dialog_rcpt *rcpt, int code, uint64_t octets);
/* Writes the events that still wait for an answer. Before the worker's port goes. */
void judge_stop(struct worker_shared *w);
