/* nft: transactions and questions, in a network namespace of its own. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/kernel/nft.h"
#include "netns.h"

static int fresh(void **state)
{
	(void)state;
	close(netns_fresh());
	return 0;
}

static void tables_come_and_go(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(nft_has_table("inet", "isle"), 0);
	assert_int_equal(nft_run("create table inet isle\n", &err), 0);
	assert_int_equal(nft_has_table("inet", "isle"), 1);
	assert_int_equal(nft_has_table("ip", "isle"), 0);
	assert_int_equal(nft_has_table("inet", "isl"), 0);
	assert_int_equal(nft_run("delete table inet isle\n", &err), 0);
	assert_int_equal(nft_has_table("inet", "isle"), 0);
	assert_int_equal(nft_has_table("nonsense", "isle"), -EINVAL);
}

static bool is_odd(const char *name)
{
	return strncmp(name, "odd", 3) == 0;
}

static void tables_are_deleted_by_their_names(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(nft_delete_tables("inet", is_odd), 0);
	assert_int_equal(nft_run("add table inet odd1\nadd table inet even\nadd table inet odd2\nadd table ip odd3\n"
				 "add chain inet odd2 in { type filter hook input priority 0; policy drop; }\n",
				 &err),
			 0);
	assert_int_equal(nft_delete_tables("inet", is_odd), 0);
	assert_int_equal(nft_has_table("inet", "odd1"), 0);
	assert_int_equal(nft_has_table("inet", "odd2"), 0);
	assert_int_equal(nft_has_table("inet", "even"), 1);
	assert_int_equal(nft_has_table("ip", "odd3"), 1);
	assert_int_equal(nft_delete_tables("nonsense", is_odd), -EINVAL);
}

static void failures_have_words(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(nft_run("create table inet isle\n", &err), 0);
	assert_int_equal(nft_run("create table inet isle\n", &err), -EEXIST);
	assert_non_null(strstr(err.what, "File exists"));
	err_clear(&err);
	assert_true(nft_run("no such command\n", &err) < 0);
	assert_non_null(strstr(err.what, "syntax error"));
	err_clear(&err);
	assert_int_equal(nft_run("add element inet isle nothing { 10.0.0.1 }\n", &err), -ENOENT);
}

static void a_transaction_is_whole(void **state)
{
	struct err err = {0};

	(void)state;
	assert_true(nft_run("add table inet one\nadd element inet isle nothing { 10.0.0.1 }\n", &err) < 0);
	assert_int_equal(nft_has_table("inet", "one"), 0);
}

static void elements_are_found(void **state)
{
	struct in_addr inside, outside;
	char name[16] = "br0";
	struct nft_element element = {"inet", "isle", "nat4", &inside, 4};
	struct err err = {0};

	(void)state;
	inet_pton(AF_INET, "10.20.30.0", &inside);
	inet_pton(AF_INET, "10.20.31.0", &outside);
	assert_int_equal(nft_has_element(&element), 0);
	assert_int_equal(nft_run("create table inet isle\n"
				 "add set inet isle nat4 { type ipv4_addr; flags interval; }\n"
				 "add set inet isle bridges { type ifname; }\n",
				 &err),
			 0);
	assert_int_equal(nft_has_element(&element), 0);
	assert_int_equal(nft_run("add element inet isle nat4 { 10.20.30.0/24 }\nadd element inet isle bridges { \"br0\" }\n", &err),
			 0);
	assert_int_equal(nft_has_element(&element), 1);
	element.key = &outside;
	assert_int_equal(nft_has_element(&element), 0);
	element = (struct nft_element){"inet", "isle", "bridges", name, sizeof(name)};
	assert_int_equal(nft_has_element(&element), 1);
	name[2] = '1';
	assert_int_equal(nft_has_element(&element), 0);
	/* The same again is no failure. */
	assert_int_equal(nft_run("add element inet isle nat4 { 10.20.30.0/24 }\n", &err), 0);
}

static void elements_change_without_the_library(void **state)
{
	char names[2][16] = {"br0", "br1"};
	const struct nft_element both[] = {{"inet", "isle", "bridges", names[0], 16}, {"inet", "isle", "bridges", names[1], 16}};
	const struct nft_element mixed[] = {both[0], {"inet", "isle", "nothing", names[1], 16}};
	struct err err = {0};

	(void)state;
	assert_int_equal(nft_change_elements(true, both, 2), -ENOENT);
	assert_int_equal(nft_run("add table inet isle\nadd set inet isle bridges { type ifname; }\n", &err), 0);
	assert_int_equal(nft_change_elements(true, mixed, 2), -ENOENT);
	assert_int_equal(nft_has_element(&both[0]), 0); /* all or nothing */
	assert_int_equal(nft_change_elements(true, both, 2), 0);
	assert_int_equal(nft_change_elements(true, both, 1), 0);
	assert_int_equal(nft_has_element(&both[0]), 1);
	assert_int_equal(nft_has_element(&both[1]), 1);
	assert_int_equal(nft_change_elements(false, both, 1), 0);
	assert_int_equal(nft_change_elements(false, both, 2), -ENOENT);
	assert_int_equal(nft_has_element(&both[1]), 1);
	assert_int_equal(nft_change_elements(false, &both[1], 1), 0);
	assert_int_equal(nft_change_elements(false, NULL, 0), 0);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tables_come_and_go, fresh),
		cmocka_unit_test_setup(tables_are_deleted_by_their_names, fresh),
		cmocka_unit_test_setup(failures_have_words, fresh),
		cmocka_unit_test_setup(a_transaction_is_whole, fresh),
		cmocka_unit_test_setup(elements_are_found, fresh),
		cmocka_unit_test_setup(elements_change_without_the_library, fresh),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), fresh);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
