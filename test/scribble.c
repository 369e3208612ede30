#define _GNU_SOURCE
/*
** scribble.c - a hostile neighbour for tests in SQL: `scribble scribble|cut SECONDS FILE...` (check_hostile.h).
**
** Prints the seed when it has begun.
*/
#include "check_hostile.h"

#include <stdio.h>

int main(int argc, char **argv) {
  Hostile p = {.n = 0};
  int i;
  if (argc < 4) {
    fprintf(stderr, "usage: %s scribble|cut SECONDS FILE...\n", argv[0]);
    return 2;
  }
  p.seed = hostileSeed();
  for (i = 3; i < argc; i++) {
    if (hostileOpen(&p, argv[i]) != 0) {
      perror(argv[i]);
      return 1;
    }
  }
  printf("seed %llu\n", (unsigned long long)p.seed);
  fflush(stdout);
  return hostileRun(&p, strcmp(argv[1], "cut") == 0, hostileNow() + atof(argv[2]), getppid()) != 0;
}
