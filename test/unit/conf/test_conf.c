#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#define ONE "listeners: [{}]\n" /* the least that is a configuration */
/* What listeners for users need. */
#define TLS_ON "server_addresses: [203.0.113.25]\ntls: {certificates: [{cert: a.pem}]}\n"

static int load(const char *text, struct conf **ret_conf, char **ret_said)
{
	size_t n;
	FILE *err = open_memstream(ret_said, &n);
	int r = conf_load_text("f", sv_from(text), err, ret_conf);

	fclose(err);
	return r;
}

static struct conf *good(const char *text)
{
	struct conf *c = NULL;
	char *said;
	int r = load(text, &c, &said);

	if (r != 0 || *said)
		fail_msg("%d: %s", r, said);
	free(said);
	return c;
}

static void expect_endpoint(const struct endpoint *e, const char *text)
{
	char out[ADDR_STRLEN + 8];

	assert_string_equal(endpoint_format(e, out), text);
}

static bool has(const struct prefix_set *set, const char *address)
{
	struct addr a;

	assert_int_equal(addr_parse(sv_from(address), &a), 0);
	return prefix_set_contains(set, &a);
}

static void test_defaults(void **state)
{
	struct conf *c = good(ONE);
	const struct listener_conf *l = &c->listeners[0];

	assert_int_equal(c->n_listeners, 1);
	assert_string_equal(c->file, "f");
	assert_string_equal(l->name, "smtp");
	assert_int_equal(l->mode, LISTENER_LISTEN);
	assert_int_equal(l->n_bind, 2);
	expect_endpoint(&l->bind[0], "0.0.0.0:2525");
	expect_endpoint(&l->bind[1], "[::]:2525");
	assert_false(l->backend_original);
	expect_endpoint(&l->backend, "127.0.0.1:25");
	assert_int_equal(l->source, SOURCE_SELF);
	assert_int_equal(l->fail, FAIL_OPEN);
	assert_int_equal(l->bare_newline, BODY_NORMALIZE);
	assert_int_equal(l->action, ACTION_UNSET);
	assert_int_equal(l->line, 1);
	assert_int_equal(c->policy.action, ACTION_OBSERVE);
	assert_int_equal(c->policy.guessed_action, ACTION_OBSERVE);
	assert_int_equal(c->policy.on_dns_failure, ACTION_DEFER);
	assert_int_equal(c->policy.on_unknown_domain, ACTION_PASS);
	assert_int_equal(c->policy.shared_egress, ACTION_PASS);
	assert_false(c->policy.strict_backup);
	assert_ptr_equal(c->policy.catalogue, catalogue_shipped());
	assert_null(c->catalogue);
	assert_true(c->policy.generation > 0);
	assert_true(c->policy.confirm);
	assert_int_equal(c->policy.stale_max_ms, 7 * 86400 * 1000LL);
	assert_string_equal(c->policy.help_url, "");
	assert_true(has(&c->policy.trusted, "127.3.4.5"));
	assert_true(has(&c->policy.trusted, "::1"));
	assert_false(has(&c->policy.trusted, "128.0.0.1"));
	assert_false(c->policy.server_addresses_given);
	assert_int_equal(c->resolver_timeout_ms, 2000);
	assert_int_equal(c->n_resolvers, 0);
	assert_false(c->tls_hide);
	assert_null(c->events_json);
	assert_null(c->state);
	assert_string_equal(conf_control(c), CONTROL_DEFAULT);
	assert_int_equal(c->http.port, 0);
	assert_int_equal(c->policy.enforce.spared, 0);
	assert_null(c->policy.enforce.complaints);
	assert_int_equal(c->policy.enforce.max_rejections, 2000);
	assert_int_equal(c->policy.prove.mails, 20);
	assert_int_equal(c->policy.prove.hours, 24);
	assert_true(c->policy.prove.rival > 0.0999 && c->policy.prove.rival < 0.1001);
	assert_int_equal(c->workers, 0);
	conf_free(c);
	c = good("listeners: [{mode: tproxy}]\nserver_addresses: [203.0.113.25]");
	l = &c->listeners[0];
	assert_int_equal(l->source, SOURCE_CLIENT);
	assert_true(l->backend_original);
	expect_endpoint(&l->bind[0], "127.0.0.1:2525");
	assert_int_equal(l->port, 25);
	conf_free(c);
}

static void test_everything(void **state)
{
	struct conf *c = good(
		"listeners:\n"
		"  - name: smtp\n"
		"    mode: listen\n"
		"    bind: [\"192.0.2.1:25\", \"[2001:db8::1]:25\"]\n"
		"    backend: \"[::1]:2526\"\n"
		"    source: client\n"
		"    accept_proxy: [10.0.0.0/8, \"2001:db8:1::/48\"]\n"
		"    fail: closed\n"
		"    tls: implicit\n"
		"    require_auth: true\n"
		"    upstream_tls: always\n"
		"    upstream_verify: mail.isp.example\n"
		"    upstream_ca: /etc/isp/ca.pem\n"
		"    bare_newline: reject\n"
		"    send: proxy-v2\n"
		"    action: defer\n"
		"  - {name: gate, mode: tproxy, bind: [\"127.0.0.1:2525\"], port: 587, "
		"backend: original}\n"
		"server_addresses: [203.0.113.25, \"2001:db8:25::/48\"]\n"
		"trusted: [10.0.0.0/8]\n"
		"resolver: {servers: [\"127.0.0.1:53\", \"[::1]:5353\"], timeout_ms: 500, confirm: "
		"off}\n"
		"policy: {action: reject, guessed_action: tag, shared_egress: tag, stale_max: "
		"12h,\n"
		"  on_dns_failure: pass, on_unknown_domain: reject, strict_backup: true, "
		"help_url: "
		"\"https://isp.example/mx\", prove: {mails: 50, hours: 48, rival: 0.2},"
		" enforce: {share: 0.5%, complaints: /etc/complaints, max_rejections: 30%}}\n"
		"http: \"[::1]:8025\"\ncontrol: none\n"
		"scanners:\n"
		"  - {name: acme, mx: [\"*.MX.Acme.Example\", mx.b\xc3\xbc"
		"cher.example], egress: [mx, "
		"198.51.100.0/24, \"ptr:Out.Acme.example\", \"SPF:_SPF.Acme.example.\", "
		"\"host:out.b\xc3\xbc"
		"cher.example\"], action: tarpit}\n"
		"  - {name: plain, mx: [mx.plain.example]}\n"
		"  - {name: shut, mx: [mx.shut.example], egress: []}\n"
		"domains:\n"
		"  - {name: Example.ORG, action: observe, allow: [192.0.2.0/24, "
		"\"ptr:monitor.example\", \"host:Web.example\", \"spf:example.org\"]}\n"
		"  - {name: b\xc3\xbc"
		"cher.example}\n"
		"hosted: [/etc/localdomains, /etc/more]\n"
		"tls: {hide: true, directory: \"/x/*.pem\", certificates: [{cert: a.pem, key: "
		"a.key}, {cert: b.pem}]}\n"
		"events: {json: /var/log/events.jsonl}\n"
		"state: /var/lib/state.db\n"
		"workers: 4\n");
	const struct policy *p = &c->policy;

	assert_int_equal(c->n_listeners, 2);
	expect_endpoint(&c->listeners[0].bind[1], "[2001:db8::1]:25");
	expect_endpoint(&c->listeners[0].backend, "[::1]:2526");
	assert_int_equal(c->listeners[0].source, SOURCE_CLIENT);
	assert_int_equal(c->listeners[0].fail, FAIL_CLOSED);
	assert_int_equal(c->listeners[0].bare_newline, BODY_REJECT);
	const struct listener_conf *l = &c->listeners[0];
	assert_int_equal(l->tls, TLS_IMPLICIT);
	assert_true(l->require_auth);
	assert_int_equal(l->upstream_tls, UPSTREAM_ALWAYS);
	assert_string_equal(l->upstream_verify, "mail.isp.example");
	assert_string_equal(l->upstream_ca, "/etc/isp/ca.pem");
	assert_int_equal(l->accept_proxy.n, 2);
	assert_int_equal(l->send, SEND_PROXY_V2);
	assert_false(listener_backend_is_tls(l)); /* port 2526 */
	assert_int_equal(c->listeners[1].send, SEND_NONE);
	assert_int_equal(c->listeners[1].upstream_tls, UPSTREAM_MIRROR);
	assert_null(c->listeners[1].upstream_verify);
	assert_true(conf_has_tls(c));
	assert_int_equal(c->tls.n_certificates, 2);
	assert_string_equal(c->tls.certificates[0].key, "a.key");
	assert_null(c->tls.certificates[1].key);
	assert_string_equal(c->tls.directory, "/x/*.pem");
	assert_int_equal(c->listeners[0].action, ACTION_DEFER);
	assert_true(c->listeners[1].backend_original);
	assert_int_equal(c->listeners[1].port, 587);
	assert_int_equal(c->listeners[1].line, 17);
	assert_true(p->server_addresses_given);
	assert_true(has(&p->server_addresses, "2001:db8:25:9::1"));
	assert_true(has(&p->trusted, "10.9.9.9"));
	assert_false(has(&p->trusted, "127.0.0.1"));
	assert_int_equal(c->n_resolvers, 2);
	expect_endpoint(&c->resolvers[1], "[::1]:5353");
	assert_int_equal(c->resolver_timeout_ms, 500);
	assert_false(p->confirm);
	assert_int_equal(p->action, ACTION_REJECT);
	assert_int_equal(p->guessed_action, ACTION_TAG);
	assert_int_equal(p->stale_max_ms, 12 * 3600 * 1000);
	assert_int_equal(p->on_dns_failure, ACTION_PASS);
	assert_int_equal(p->on_unknown_domain, ACTION_REJECT);
	assert_string_equal(p->help_url, "https://isp.example/mx");
	assert_int_equal(p->shared_egress, ACTION_TAG);
	assert_true(p->strict_backup);

	assert_int_equal(p->n_scanners, 3);
	assert_string_equal(p->scanners[0].name, "acme");
	assert_string_equal(p->scanners[0].mx[0], "*.mx.acme.example");
	assert_string_equal(p->scanners[0].mx[1], "mx.xn--bcher-kva.example");
	assert_true(p->scanners[0].egress_mx);
	assert_false(p->scanners[0].egress_default_ptr);
	assert_true(has(&p->scanners[0].cidrs, "198.51.100.77"));
	assert_string_equal(p->scanners[0].ptr[0], "out.acme.example");
	assert_int_equal(p->scanners[0].n_ptr, 1);
	assert_int_equal(p->scanners[0].n_sources, 2);
	assert_string_equal(p->scanners[0].sources[0], "spf:_spf.acme.example");
	assert_string_equal(p->scanners[0].sources[1], "host:out.xn--bcher-kva.example");
	assert_int_equal(p->scanners[1].n_sources, 0);
	assert_int_equal(p->scanners[0].action, ACTION_TARPIT);
	assert_true(p->scanners[1].egress_mx);
	assert_true(p->scanners[1].egress_default_ptr);
	assert_int_equal(p->scanners[1].action, ACTION_UNSET);
	assert_false(p->scanners[2].egress_mx);
	assert_false(p->scanners[2].egress_default_ptr);

	const struct domain_policy *row = map_get(&p->domains, SV("example.org"));

	assert_int_equal(row->action, ACTION_OBSERVE);
	assert_true(has(&row->allow, "192.0.2.9"));
	assert_string_equal(row->allow_ptr[0], "monitor.example");
	assert_int_equal(row->n_allow_sources, 2);
	assert_string_equal(row->allow_sources[0], "host:web.example");
	assert_string_equal(row->allow_sources[1], "spf:example.org");
	row = map_get(&p->domains, SV("xn--bcher-kva.example"));
	assert_int_equal(row->action, ACTION_UNSET);
	assert_int_equal(c->n_hosted, 2);
	assert_string_equal(c->hosted[1], "/etc/more");
	assert_true(c->tls_hide);
	assert_string_equal(c->events_json, "/var/log/events.jsonl");
	assert_string_equal(c->state, "/var/lib/state.db");
	assert_int_equal(p->enforce.spared, 9950);
	assert_string_equal(p->enforce.complaints, "/etc/complaints");
	assert_int_equal(p->enforce.max_rejections, 3000);
	assert_int_equal(c->http.port, 8025);
	assert_null(conf_control(c));
	assert_int_equal(p->prove.mails, 50);
	assert_int_equal(p->prove.hours, 48);
	assert_true(p->prove.rival > 0.199 && p->prove.rival < 0.201);
	assert_int_equal(c->workers, 4);
	conf_free(c);
}

static const struct {
	const char *text;
	const char *says; /* a line, or its beginning */
} wrong[] = {
	{ "", "f:1:1: listeners: there is none; accepted: a list of at least one listener" },
	{ "listeners: []", "f:1:1: listeners: there is none" },
	{ "listeners: 5", "f:1:12: listeners: a value stands here; accepted: a list" },
	{ "listeners:", "f:1:1: listeners: nothing stands here; accepted: a list" },
	{ "- a", "f:1:1: a list stands here; accepted: a mapping of listeners, server_addresses" },
	{ "listeners: [x]", "f:1:13: listeners: a value stands here; accepted: a mapping of name, "
			    "mode, bind" },
	{ "listeners: [", "f:" },
	{ ONE "polcy: {}",
	  "f:2:1: polcy: unknown key; accepted: listeners, server_addresses, "
	  "trusted, resolver, policy, scanners, catalogue, domains, hosted, tls, limits, events, "
	  "state, user, http, control, workers" },
	{ ONE "policy:\n  acton: reject",
	  "f:3:3: policy.acton: unknown key; accepted: action, guessed_action" },
	{ ONE "policy: {action: reject, action: defer}",
	  "f:2:26: policy.action: given a second time; accepted: once" },
	{ ONE "tls: {}\ntls: {}", "f:3:1: tls: given a second time" },
	{ ONE "policy: {action: refuse}", "f:2:18: policy.action: 'refuse' is not known; accepted: "
					  "observe, tag, defer, reject, tarpit" },
	{ ONE "policy: {action: divert}",
	  "f:2:18: policy.action: divert is not supported by this version; accepted: observe" },
	{ ONE "policy: {action: [reject]}", "f:2:18: policy.action: a list stands here" },
	{ ONE "policy: {action: }", "f:2:10: policy.action: nothing stands here" },
	{ ONE "policy: {guessed_action: scan}", "f:2:26: policy.guessed_action: scan is not" },
	{ ONE "policy: {on_dns_failure: reject}",
	  "f:2:26: policy.on_dns_failure: 'reject' is not known; accepted: defer, pass" },
	{ ONE "policy: {on_unknown_domain: tag}", "f:2:29: policy.on_unknown_domain: 'tag'" },
	{ ONE "policy: {strict_backup: yes}",
	  "f:2:25: policy.strict_backup: 'yes' can't be; accepted: true, false" },
	{ ONE "policy: {shared_egress: defer}",
	  "f:2:25: policy.shared_egress: 'defer' is not known; accepted: pass, tag" },
	{ ONE "policy: {stale_max: 7}", "f:2:21: policy.stale_max: '7' is no duration; accepted: a "
					"number with s, m, h or d" },
	{ ONE "policy: {stale_max: 7w}", "f:2:21: policy.stale_max: '7w' is no duration" },
	{ ONE "policy: {stale_max: 5s}", "f:2:21: policy.stale_max: '5s' is out of range" },
	{ ONE "policy: {stale_max: 99999999999999999999d}", "f:2:21: policy.stale_max: " },
	{ ONE "policy: {help_url: \"a b\"}", "f:2:20: policy.help_url: this can't stand" },
	{ ONE "http: 8025", "f:2:7: http: '8025' is no address with a port" },
	{ ONE "http: 127.0.0.1:0", "f:2:7: http: '127.0.0.1:0' is no address with a port" },
	{ ONE "control: \"\"", "f:2:10: control: too short or too long" },
	{ ONE "policy: {enforce: {share: 5}}",
	  "f:2:27: policy.enforce.share: '5' can't be; accepted: a share from 0% to 100%" },
	{ ONE "policy: {enforce: {max_rejections: nan%}}",
	  "f:2:36: policy.enforce.max_rejections: 'nan%' can't be" },
	{ ONE "policy: {enforce: yes}", "f:2:19: policy.enforce: a value stands here" },
	{ ONE "policy: {prove: {mails: none}}", "f:2:25: policy.prove.mails: 'none' can't be" },
	{ ONE "policy: {prove: {mails: 0}}", "f:2:25: policy.prove.mails: '0' can't be" },
	{ ONE "policy: {prove: {hours: 9000}}", "f:2:25: policy.prove.hours: '9000' can't be" },
	{ ONE "policy: {prove: {rival: 2}}", "f:2:25: policy.prove.rival: '2' can't be" },
	{ ONE "policy: {prove: {rival: nan}}", "f:2:25: policy.prove.rival: 'nan' can't be" },
	{ ONE "policy: {prove: {rivals: 1}}",
	  "f:2:18: policy.prove.rivals: unknown key; accepted: mails, hours, rival" },
	{ ONE "policy: {prove: 20}", "f:2:17: policy.prove: a value stands here; accepted: a "
				     "mapping of mails, hours, rival" },
	{ ONE "state: \"\"", "f:2:8: state: too short or too long" },
	{ ONE "state: [x]", "f:2:8: state: a list stands here" },
	{ ONE "workers: 257", "f:2:10: workers: '257' can't be; accepted: a number from 0 to 256" },
	{ ONE "user: \"\"", "f:2:7: user: " },
	{ ONE "user: [root]", "f:2:7: user: " },
	{ ONE "workers: -1", "f:2:10: workers: '-1' can't be" },
	{ ONE "workers: \"4\"", "f:2:10: workers: '4' can't be" },
	{ ONE "trusted: [10.0.0.1/8]", "f:2:11: trusted: '10.0.0.1/8' has bits set past its" },
	{ ONE "trusted: [localhost]", "f:2:11: trusted: 'localhost' is no address" },
	{ ONE "trusted: 10.0.0.0/8", "f:2:10: trusted: a value stands here; accepted: a list" },
	{ ONE "server_addresses: [x]", "f:2:20: server_addresses: 'x' is no address" },
	{ ONE "resolver: {servers: [127.0.0.1]}",
	  "f:2:22: resolver.servers: '127.0.0.1' is no address with a port; accepted: "
	  "ADDRESS:PORT" },
	{ ONE "limits: {memory: 5}",
	  "f:2:18: limits.memory: '5' can't be; accepted: a number with K, M or G" },
	{ ONE "limits: {memory: 1K}", "f:2:18: limits.memory: '1K' can't be" },
	{ ONE "limits: {memory: 1025G}", "f:2:18: limits.memory: '1025G' can't be" },
	{ ONE "limits: {per_client: -1}", "f:2:22: limits.per_client: '-1' can't be" },
	{ ONE "limits: {timeouts: {data: 0s}}",
	  "f:2:27: limits.timeouts.data: '0s' is out of range" },
	{ ONE "limits: {conections: 5}",
	  "f:2:10: limits.conections: unknown key; accepted: connections, per_client" },
	{ ONE "resolver: {timeout_ms: 0}", "f:2:24: resolver.timeout_ms: '0' can't be" },
	{ ONE "resolver: {confirm: yes}", "f:2:21: resolver.confirm: 'yes' is not known; accepted: "
					  "authoritative, off" },
	{ ONE "tls: {certificates: a}", "f:2:21: tls.certificates: a value stands here; accepted: "
					"a list of {cert: FILE, key: FILE}" },
	{ ONE "tls: {certificates: [{key: b}]}", "f:2:22: tls.certificates: cert is missing" },
	{ ONE "tls: {certificates: [{cert: a, pem: b}]}", "f:2:32: tls.certificates.pem: " },
	{ ONE "tls: {directory: \"\"}", "f:2:18: tls.directory: this names no files" },
	{ "listeners: [{tls: implicit}]",
	  "f:1:1: listener smtp: tls: implicit needs certificates; accepted: with tls.certif" },
	{ "listeners: [{require_auth: true}]",
	  "f:1:1: listener smtp: require_auth can't hold while the backend's STARTTLS passes" },
	{ "listeners: [{upstream_tls: off, upstream_verify: mail.example.org}]",
	  "f:1:1: listener smtp: upstream_verify has nothing to verify" },
	{ "listeners: [{upstream_verify: on}]",
	  "f:1:31: listeners.upstream_verify: 'on' is no such name; accepted: off, or the name" },
	{ "listeners: [{tls: yes}]",
	  "f:1:19: listeners.tls: 'yes' is not known; accepted: starttls" },
	{ ONE "tls: {hide: yes}", "f:2:13: tls.hide: 'yes' can't be; accepted: true, false" },
	{ ONE "events: {database: x}",
	  "f:2:10: events.database: not supported by this version; accepted: events.json" },
	{ ONE "events: {json: \"\"}", "f:2:16: events.json: too short or too long" },
	{ ONE "catalogue: /x",
	  "f:2:12: catalogue: a value stands here; accepted: a list of files" },
	{ ONE "catalogue: [[x]]", "f:2:13: catalogue: a list stands here; accepted: a file" },
	{ ONE "catalogue: [/nowhere/x.tsv]",
	  "f:2:13: catalogue: '/nowhere/x.tsv' can't be read (No such file or directory); "
	  "accepted: a file with rows as those of providers.tsv" },
	{ ONE "catalogue: [/]", "f:2:13: catalogue: '/' can't be read (Is a directory)" },
	{ ONE "catalogue: [/dev/null]",
	  "/dev/null:1: the head is missing; accepted: first a line" },
	{ ONE "hosted: [[x]]", "f:2:10: hosted: a list stands here; accepted: a file" },
	/* listeners */
	{ "listeners: [{mode: tproxy}]",
	  "f:1:1: listener smtp: mode: tproxy needs server_addresses; accepted: " },
	{ "listeners: [{mode: tproxy, backend: 127.0.0.1:25}]",
	  "f:1:37: listeners.backend: with mode: tproxy the backend is where the client went; "
	  "accepted: original" },
	{ "listeners: [{bind: [\"127.0.0.1:25\"]}]",
	  "f:1:13: listeners.backend: this is the listener itself; accepted: the mail server" },
	{ "listeners: [{bind: [\"0.0.0.0:2626\"], backend: \"127.0.0.1:2626\"}]",
	  "f:1:47: listeners.backend: this is the listener itself" },
	{ "listeners: [{backend: original}]",
	  "f:1:23: listeners.backend: 'original' needs mode: tproxy" },
	{ "listeners: [{backend: \"127.0.0.1:0\"}]", "f:1:23: listeners.backend: '127.0.0.1:0'" },
	{ "listeners: [{name: a b}]", "f:1:20: listeners.name: this is no name" },
	{ "listeners:\n  - {name: a, bind: [\"127.0.0.1:1\"]}\n  - {name: a, bind: "
	  "[\"127.0.0.1:2\"]}",
	  "f:3:12: listeners.name: 'a' is the listener of line 2 already" },
	{ "listeners:\n  - {name: a, bind: [\"127.0.0.1:1\"]}\n  - {name: b, bind: "
	  "[\"127.0.0.1:1\"]}",
	  "f:3:21: listeners.bind: the listener of line 2 has this address already" },
	{ "listeners: [{bind: [\"*:25\"]}]", "f:1:21: listeners.bind: '*:25' is no address" },
	{ "listeners: [{bind: \"127.0.0.1:25\"}]", "f:1:20: listeners.bind: a value stands here; "
						   "accepted: a list of ADDRESS:PORT" },
	{ "listeners: [{bind: []}]", "f:1:20: listeners.bind: an empty list" },
	{ "listeners: [{port: 587}]",
	  "f:1:20: listeners.port: with mode: listen the port is that of bind; accepted: only "
	  "with mode: tproxy" },
	{ "listeners: [{mode: listen, bind: [\"127.0.0.1:2587\"], port: 25}]",
	  "f:1:60: listeners.port: with mode: listen" },
	{ "listeners: [{mode: tproxy, port: 0}]",
	  "f:1:34: listeners.port: '0' can't be; accepted: a number from 1 to 65535" },
	{ "listeners: [{mode: tproxy, port: 65536}]", "f:1:34: listeners.port: '65536' can't be" },
	{ "listeners: [{mode: tproxy, port: smtp}]", "f:1:34: listeners.port: 'smtp' can't be" },
	{ "listeners: [{accept_proxy: [10.0.0.0/33]}]",
	  "f:1:29: listeners.accept_proxy: '10.0.0.0/33' is no address" },
	{ "listeners: [{send: proxy}]", "f:1:20: listeners.send: 'proxy' is not known; accepted: "
					"none, proxy-v1, proxy-v2, xclient" },
	{ "listeners: [{mode: gateway}]", "f:1:20: listeners.mode: 'gateway' is not known" },
	{ "listeners: [{action: scan}]", "f:1:22: listeners.action: scan is not supported" },
	/* scanners and domains */
	{ ONE "scanners: [{mx: [mx.a.example]}]", "f:2:12: scanners: no name" },
	{ ONE "scanners: [{name: a}]", "f:2:12: scanners: no mx" },
	{ ONE "scanners: [{name: a, mx: [\"*\"]}]", "f:2:27: scanners.mx: '*' is no domain name" },
	{ ONE "scanners: [{name: a, mx: [m.example], egress: [\"spf:\"]}]",
	  "f:2:48: scanners.egress: '' is no domain name; accepted: example.org" },
	{ ONE "scanners: [{name: a, mx: [m.example], egress: [\"spf:%{d}.x.example\"]}]",
	  "f:2:48: scanners.egress: '%{d}.x.example' is no domain name" },
	{ ONE "scanners: [{name: a, mx: [m.example], egress: [\"host:a b\"]}]",
	  "f:2:48: scanners.egress: 'a b' is no domain name" },
	{ ONE "scanners: [{name: a, mx: [m.example], egress: [\"exists:x.example\"]}]",
	  "f:2:48: scanners.egress: 'exists:x.example' is no address" },
	{ ONE "scanners: [{name: a, mx: [m.example], egress: 10.0.0.1}]",
	  "f:2:47: scanners.egress: a value stands here; accepted: a list of mx, an address or "
	  "prefix, \"spf:NAME\", \"host:NAME\", \"ptr:SUFFIX\"" },
	{ ONE "scanners: [{name: a, mx: [m.example], egress: [\"ptr:\"]}]",
	  "f:2:48: scanners.egress: '' is no domain name" },
	{ ONE "scanners:\n  - {name: a, mx: [m.example]}\n  - {name: a, mx: [n.example]}",
	  "f:4:12: scanners.name: 'a' is another scanner's already" },
	{ ONE "domains: [{action: reject}]", "f:2:11: domains: no name" },
	{ ONE "domains: [x]", "f:2:11: domains: a value stands here; accepted: a mapping" },
	{ ONE "domains: [{name: \"a b\"}]", "f:2:18: domains.name: 'a b' is no domain name" },
	{ ONE "domains: [{name: a.example}, {name: A.example}]",
	  "f:2:37: domains.name: a.example stands here already" },
	{ ONE "domains: [{name: a.example, allow: [\"spf:b example\"]}]",
	  "f:2:37: domains.allow: 'b example' is no domain name" },
	{ ONE "domains: [{name: a.example, allow: [mx]}]", "f:2:37: domains.allow: 'mx' is no" },
};

static void test_limits(void **state)
{
	struct conf *c = NULL;
	char *said;

	assert_int_equal(load(ONE, &c, &said), 0);
	assert_int_equal(c->limits.connections, 0);
	assert_int_equal(c->limits.per_client, 200);
	assert_int_equal(c->limits.memory, 0);
	assert_int_equal(c->limits.command_ms, 300000);
	assert_int_equal(c->limits.final_ms, 600000);
	conf_free(c);
	free(said);
	assert_int_equal(load(ONE
			      "limits: {connections: 7, per_client: 0, per_client_rate: 9, memory: "
			      "3M, min_rate: 0, timeouts: {command: 2s, data_start: 1m}}",
			      &c, &said),
			 0);
	assert_int_equal(c->limits.connections, 7);
	assert_int_equal(c->limits.per_client, 0);
	assert_int_equal(c->limits.per_client_rate, 9);
	assert_int_equal(c->limits.memory, 3 << 20);
	assert_int_equal(c->limits.min_rate, 0);
	assert_int_equal(c->limits.commands, 10000);
	assert_int_equal(c->limits.command_ms, 2000);
	assert_int_equal(c->limits.data_start_ms, 60000);
	assert_int_equal(c->limits.data_ms, 180000);
	conf_free(c);
	free(said);
}

static void test_wrong(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct conf *c = NULL;
		char *said;
		int r = load(wrong[i].text, &c, &said);
		size_t lines = 0;

		for (const char *p = said; *p; p++)
			lines += *p == '\n';

		if (r != -EINVAL || c || strncmp(said, wrong[i].says, strlen(wrong[i].says)) != 0 ||
		    lines != 1)
			fail_msg("row %zu: %d\n%s\n%s", i, r, wrong[i].text, said);
		free(said);
	}
}

#define HEAD                                                                                       \
	"id\tname\tkind\tmx_suffixes\tegress_spf\tegress_hosts\tegress_cidrs\tegress_ptr_suffixes" \
	"\tsource\tconfidence\n"

/* A file with this text, named by out, and a configuration that names it, twice. */
static void write_catalogue(const char *text, char out[32], char *conf, size_t size)
{
	strcpy(out, "/tmp/test_conf.XXXXXX");
	int fd = mkstemp(out);
	FILE *f;

	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	snprintf(conf, size, ONE "catalogue:\n  - %s\n  - %s\n", out, out);
}

static void test_catalogue(void **state)
{
	char file[32], text[200], expect[200], *said;
	struct conf *c = NULL;

	write_catalogue(HEAD "acme\tAcme\tfilter\tacme.example\t\t\t\t\tus\thigh\n", file, text,
			sizeof(text));
	c = good(text);
	assert_int_equal(c->n_catalogue_files, 2);
	assert_string_equal(c->catalogue_files[0], file);
	assert_ptr_equal(c->policy.catalogue, c->catalogue);
	assert_int_equal(catalogue_count(c->catalogue), catalogue_count(catalogue_shipped()) + 1);
	assert_string_equal(catalogue_find(c->catalogue, "mx.acme.example")->file, file);
	conf_free(c);
	remove(file);

	c = NULL;
	write_catalogue(HEAD "\nacme\tAcme\tfilter\t\t\t\t\t\t\thigh\n", file, text, sizeof(text));
	snprintf(expect, sizeof(expect),
		 "%s:3: mx_suffixes: there is none, so no MX host can be the row's; accepted: "
		 "domain names, separated by spaces\n",
		 file);
	assert_int_equal(load(text, &c, &said), -EINVAL);
	assert_string_equal(said, expect);
	free(said);
	remove(file);
	c = good(ONE "catalogue: [" EXAMPLES "/catalogue.tsv]");
	assert_int_equal(catalogue_count(c->catalogue), catalogue_count(catalogue_shipped()) + 2);
	conf_free(c);
	/* No file: the shipped one. */
	c = good(ONE "catalogue: []");
	assert_ptr_equal(c->policy.catalogue, catalogue_shipped());
	conf_free(c);
}

/* One more than there may be. */
static void test_many_sources(void **state)
{
	char text[CATALOGUE_SOURCES_MAX * 20 + 200], *said;
	struct conf *c = NULL;

	for (int more = 0; more < 2; more++) {
		size_t n = (size_t)snprintf(text, sizeof(text),
					    ONE "scanners: [{name: a, mx: [m.example], egress: [");

		for (int i = 0; i < CATALOGUE_SOURCES_MAX + more; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "\"spf:s%d.example\",",
					      i);
		snprintf(text + n, sizeof(text) - n, "]}]\n");
		if (!more) {
			c = good(text);
			assert_int_equal(c->policy.scanners[0].n_sources, CATALOGUE_SOURCES_MAX);
			conf_free(c);
			c = NULL;
			continue;
		}
		assert_int_equal(load(text, &c, &said), -EINVAL);
		assert_non_null(strstr(said, "scanners.egress: too many spf: and host: here; "
					     "accepted: 64\n"));
		free(said);
	}
}

/* All that can be found is told at once. */
static void test_all_errors(void **state)
{
	struct conf *c = NULL;
	char *said;

	assert_int_equal(load("listeners: [{mode: x}]\nworkers: x\nbad: 1\n", &c, &said), -EINVAL);
	assert_non_null(strstr(said, "f:1:20: "));
	assert_non_null(strstr(said, "f:2:10: "));
	assert_non_null(strstr(said, "f:3:1: "));
	free(said);
}

static void test_warnings(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ ONE "http: 127.0.0.1:8025", "" },
		{ ONE "control: /run/x.sock", "" },
		{ TLS_ON "listeners: [{mode: tproxy, port: 465}]",
		  "f:3:34: warning: listeners.port: clients of port 465 speak TLS from the first "
		  "octet; " },
		{ TLS_ON "listeners: [{mode: tproxy, tls: implicit}]",
		  "f:3:33: warning: listeners.tls: clients of port 25 begin in the clear; " },
		{ TLS_ON "listeners: [{mode: tproxy, tls: implicit, port: 465}]", "" },
		{ TLS_ON "listeners: [{mode: tproxy, port: 587, require_auth: true}]", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf *c = NULL;
		char *said;
		int r = load(rows[i].text, &c, &said);

		if (r != 0 || strncmp(said, rows[i].says, strlen(rows[i].says)) != 0 ||
		    !said[0] != !rows[i].says[0])
			fail_msg("row %zu: %d %s", i, r, said);
		free(said);
		conf_free(c);
	}
}

static void test_no_file(void **state)
{
	struct conf *c = NULL;
	char *said;
	size_t n;
	FILE *err = open_memstream(&said, &n);

	assert_int_equal(conf_load("/nonexistent/frontdoor.yaml", err, &c), -ENOENT);
	assert_int_equal(conf_load("/", err, &c), -EISDIR);
	fclose(err);
	assert_non_null(strstr(said, "/nonexistent/frontdoor.yaml: No such file"));
	free(said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),     cmocka_unit_test(test_everything),
		cmocka_unit_test(test_wrong),        cmocka_unit_test(test_limits),
		cmocka_unit_test(test_all_errors),   cmocka_unit_test(test_catalogue),
		cmocka_unit_test(test_many_sources), cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
