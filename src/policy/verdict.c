#include "policy/verdict.h"

static const char *const door_kinds[DOOR_KIND_COUNT] = {
	[DOOR_SCANNER] = "scanner", [DOOR_SELF] = "self",
	[DOOR_BACKUP] = "backup",   [DOOR_ELSEWHERE] = "elsewhere",
	[DOOR_NULL] = "null",       [DOOR_UNKNOWN] = "unknown",
	[DOOR_DNS] = "dns",
};

static const char *const grades[GRADE_COUNT] = {
	[GRADE_NONE] = "none",     [GRADE_CONFIGURED] = "configured", [GRADE_PROVEN] = "proven",
	[GRADE_LISTED] = "listed", [GRADE_GUESSED] = "guessed",
};

static const char *const findings[FINDING_COUNT] = {
	[FINDING_PASS] = "pass",
	[FINDING_DIRECT] = "direct",
	[FINDING_NULL] = "null",
	[FINDING_DNS] = "dns",
};

static const char *const actions[ACTION_COUNT] = {
	[ACTION_UNSET] = "",      [ACTION_PASS] = "pass",     [ACTION_OBSERVE] = "observe",
	[ACTION_TAG] = "tag",     [ACTION_SCAN] = "scan",     [ACTION_DIVERT] = "divert",
	[ACTION_DEFER] = "defer", [ACTION_REJECT] = "reject", [ACTION_TARPIT] = "tarpit",
};

static const char *const reasons[REASON_COUNT] = {
	[REASON_AUTHENTICATED] = "authenticated",
	[REASON_TRUSTED] = "trusted",
	[REASON_POSTMASTER] = "postmaster",
	[REASON_NOT_HOSTED] = "not-hosted",
	[REASON_SELF] = "self",
	[REASON_IMPLICIT_MX] = "implicit-mx",
	[REASON_BACKUP] = "backup",
	[REASON_INGRESS] = "ingress",
	[REASON_EGRESS] = "egress",
	[REASON_PTR] = "ptr",
	[REASON_ALLOWED] = "allowed",
	[REASON_ADDRESS] = "address",
	[REASON_UNKNOWN_DOMAIN] = "unknown-domain",
	[REASON_NOT_EGRESS] = "not-egress",
	[REASON_NOT_ADDRESS] = "not-address",
	[REASON_NULL_MX] = "null-mx",
	[REASON_DNS_FAILURE] = "dns-failure",
	[REASON_PTR_FAILURE] = "ptr-failure",
	[REASON_LITERAL] = "literal",
	[REASON_SHARED_EGRESS] = "shared-egress",
	[REASON_GRACE] = "grace",
	[REASON_RETRIED] = "retried",
	[REASON_BACKUP_CLOSED] = "backup-closed",
	[REASON_AUTH_REQUIRED] = "auth-required",
};

static const char *const restraints[RESTRAINT_COUNT] = {
	[RESTRAINT_NONE] = "",
	[RESTRAINT_GUESSED] = "guessed",
	[RESTRAINT_LISTED] = "listed",
	[RESTRAINT_RIVAL] = "rival",
	[RESTRAINT_NEVER_HEARD] = "never-heard",
	[RESTRAINT_UNCONFIRMED] = "unconfirmed",
	[RESTRAINT_PRIVATE] = "private",
	[RESTRAINT_IDENTITY] = "identity",
	[RESTRAINT_STARTTLS] = "starttls",
	[RESTRAINT_STALE] = "stale",
	[RESTRAINT_GRACE] = "grace",
	[RESTRAINT_QUIET] = "quiet",
	[RESTRAINT_PARTIAL] = "partial",
	[RESTRAINT_SHARE] = "share",
	[RESTRAINT_STOPPED] = "stopped",
};

static const char *name_at(const char *const *names, size_t n, unsigned v)
{
	INVARIANT(v < n && names[v]);
	return names[v];
}

const char *door_kind_name(enum door_kind v)
{
	return name_at(door_kinds, DOOR_KIND_COUNT, v);
}

const char *grade_name(enum grade v)
{
	return name_at(grades, GRADE_COUNT, v);
}

const char *finding_name(enum finding v)
{
	return name_at(findings, FINDING_COUNT, v);
}

const char *action_name(enum action v)
{
	return name_at(actions, ACTION_COUNT, v);
}

const char *reason_name(enum reason v)
{
	return name_at(reasons, REASON_COUNT, v);
}

const char *restraint_name(enum restraint v)
{
	return name_at(restraints, RESTRAINT_COUNT, v);
}

enum action action_from_name(struct sv name)
{
	for (enum action a = ACTION_PASS; a < ACTION_COUNT; a++)
		if (sv_eq(name, sv_from(actions[a])))
			return a;
	return ACTION_UNSET;
}

const char *door_names_word(const struct door_names *names, const struct addr *server)
{
	static const char *const words[DOOR_NAME_COUNT] = {
		[DOOR_NAME_APEX] = "apex", [DOOR_NAME_WWW] = "www",     [DOOR_NAME_MAIL] = "mail",
		[DOOR_NAME_SMTP] = "smtp", [DOOR_NAME_OTHER] = "other",
	};

	for (int i = 0; i < DOOR_NAME_COUNT; i++)
		for (int k = 0; k < names->n[i]; k++)
			if (addr_eq(&names->addrs[i][k], server))
				return words[i];
	return "none";
}
