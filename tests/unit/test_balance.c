/* Which guests are moved to which CPUs. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/run/balance.h"

#define CPUS   4
#define GUESTS 6

struct scene {
	bool there[CPUS];
	bool on[GUESTS][CPUS];
	struct balance_guest guests[GUESTS];
	size_t count;
};

/* cpus: a letter for each, 'x' where the guest is. */
static void add(struct scene *scene, const char *cpus, double used)
{
	struct balance_guest *guest = &scene->guests[scene->count];

	*guest = (struct balance_guest){.on = scene->on[scene->count], .used = used, .may_move = true};
	for (size_t i = 0; i < CPUS; i++)
		guest->on[i] = cpus[i] == 'x';
	scene->count++;
}

static void assert_on(const struct scene *scene, size_t guest, const char *cpus)
{
	char found[CPUS + 1] = "";

	for (size_t i = 0; i < CPUS; i++)
		found[i] = scene->guests[guest].on[i] ? 'x' : '-';
	assert_string_equal(found, cpus);
}

static struct scene scene_of(const char *there)
{
	struct scene scene = {.count = 0};

	for (size_t i = 0; i < CPUS; i++)
		scene.there[i] = there[i] == 'x';
	return scene;
}

static void plan(struct scene *scene)
{
	balance_plan(scene->there, CPUS, scene->guests, scene->count);
}

static void two_that_are_busy_are_parted(void **state)
{
	struct scene scene = scene_of("xx--");

	(void)state;
	add(&scene, "x---", 0.5);
	add(&scene, "x---", 0.5);
	plan(&scene);
	assert_int_equal(scene.guests[0].moved + scene.guests[1].moved, 1);
	assert_true(scene.guests[0].on[0] != scene.guests[1].on[0]);
	/* And then nothing more is to be won. */
	scene.guests[0].moved = scene.guests[1].moved = false;
	plan(&scene);
	assert_false(scene.guests[0].moved || scene.guests[1].moved);
}

static void the_idle_stay(void **state)
{
	struct scene scene = scene_of("xxxx");

	(void)state;
	add(&scene, "x---", 0.01);
	add(&scene, "x---", 0.02);
	add(&scene, "x---", 0);
	add(&scene, "x---", 1);
	plan(&scene);
	for (size_t i = 0; i < scene.count; i++)
		assert_false(scene.guests[i].moved);
}

static void who_is_alone_stays(void **state)
{
	struct scene scene = scene_of("xxxx");

	(void)state;
	add(&scene, "x---", 1);
	add(&scene, "-xx-", 2);
	plan(&scene);
	assert_on(&scene, 0, "x---");
	assert_on(&scene, 1, "-xx-");
}

static void a_guest_keeps_its_number(void **state)
{
	struct scene scene = scene_of("xxxx");

	(void)state;
	add(&scene, "xx--", 1);
	add(&scene, "xx--", 1);
	plan(&scene);
	assert_on(&scene, scene.guests[0].moved ? 1 : 0, "xx--");
	assert_on(&scene, scene.guests[0].moved ? 0 : 1, "--xx");
}

static void what_is_placed_by_hand_counts_and_stays(void **state)
{
	struct scene scene = scene_of("xx--");

	(void)state;
	add(&scene, "x---", 0.5);
	scene.guests[0].may_move = false;
	add(&scene, "x---", 0.5);
	plan(&scene);
	assert_on(&scene, 0, "x---");
	assert_on(&scene, 1, "-x--");
	/* A CPU that is gone is none to go to. */
	scene = scene_of("x---");
	add(&scene, "x---", 0.5);
	add(&scene, "x---", 0.5);
	plan(&scene);
	assert_on(&scene, 1, "x---");
	balance_plan(scene.there, 0, scene.guests, scene.count);
	balance_plan(scene.there, CPUS, NULL, 0);
}

static void many_are_spread(void **state)
{
	struct scene scene = scene_of("xxx-");
	double load[CPUS] = {0};

	(void)state;
	for (size_t i = 0; i < GUESTS; i++)
		add(&scene, "x---", 0.3);
	plan(&scene);
	for (size_t g = 0; g < GUESTS; g++)
		for (size_t i = 0; i < CPUS; i++)
			load[i] += scene.guests[g].on[i] ? 0.3 : 0;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal((int)(load[i] * 10 + 0.5), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_that_are_busy_are_parted),
		cmocka_unit_test(the_idle_stay),
		cmocka_unit_test(who_is_alone_stays),
		cmocka_unit_test(a_guest_keeps_its_number),
		cmocka_unit_test(what_is_placed_by_hand_counts_and_stays),
		cmocka_unit_test(many_are_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
