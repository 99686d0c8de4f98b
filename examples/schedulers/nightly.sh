#!/bin/sh
# One night by cron: 15 2 * * * /srv/shop/nightly.sh /srv/shop/drops >> /srv/shop/nightly.log 2>&1
#
# Every file of the folder is ingested once, however often it is named. What failed goes on where it failed, the next
# time. Exit codes: 0 it is done; 3 the data failed a test or a limit, and yesterday's build is served on; 4 the run of
# another night is not done yet; else it went wrong.
set -u
ecom-analytics --log-level warning run "$1"
code=$?
case $code in
0) exit 0 ;;
3) echo "nightly: the data failed; see: ecom-analytics diagnose" ;;
4) echo "nightly: another run is under way; nothing to do" && exit 0 ;;
*) echo "nightly: failed with exit code $code; see: ecom-analytics runs show" ;;
esac
exit "$code"
