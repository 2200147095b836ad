# Every sentence that a person may read, for the window's page, the tray, the notices and the command line.
# Second person, present, short. A title says what happened; the body says what it means and what to do; a button
# says the deed. Numbers, amounts and times arrive formatted; `hours`, `minutes`, `left` and `count` as plain numbers.

## The app

app-name = Supplier
window-title = io.net Supplier
rehearsal-mark = Rehearsal: no real money
rehearsal-explained = A stand-in takes the place of a real part. Jobs may run without a container, and the amounts are play money.
unknown = –

## Phases: the one word for what is going on, and a line below it

phase-loading-title = Starting
phase-loading-detail = Your settings are being read.
phase-welcome-title = Welcome
phase-welcome-detail = Sign in to let this PC earn while you do not need it.
phase-signing-in-title = Signing in
phase-signing-in-detail = Finish in your browser.
phase-signing-in-code-detail = Open { $address } and type the code { $code }.
phase-agreement-title = Before you start
phase-agreement-detail = Read one page and agree. Nothing runs here before that.
phase-enrolling-title = Enrolling
phase-enrolling-detail = This PC gets a certificate of its own.
phase-detecting-title = Looking for graphics cards
phase-detecting-detail = The driver is asked what is built in.
phase-starting-title = Starting
phase-starting-detail = The program that runs jobs (Nomad agent) is starting.
phase-connecting-title = Connecting
phase-connecting-detail = Waiting for the region to say that this PC is ready.
phase-waiting-title = Waiting for a job
phase-waiting-detail = Your PC is online. The next fitting job starts by itself.
phase-earning-title = Earning
phase-earning-detail = “{ $job }” is running on this PC.
phase-earning-many-detail = { $count } jobs are running on this PC.
phase-pausing-title = Pausing
phase-paused-title = Paused
phase-signing-out-title = Signing out
phase-quitting-title = Quitting

pause-end-resumed = Until you resume.
pause-end-at = Until { $time }, then it resumes by itself.

stage-begun = Getting ready to give your PC back.
stage-freezing = The work is being stopped where it stands.
stage-making-ineligible = The region is told to send no new work.
stage-thawing = The job may tidy up, at the lowest priority.
stage-stopping-allocations = The job is moving to another PC.
stage-stopping-agent = The program that runs jobs is stopping.
stage-flushing-logs = The last logs are being sent.

## Signing in

sign-in-lead = Your graphics card can work for others while you do not need it, and you are paid for it. You decide when, and take your PC back at any moment.
sign-in = Sign in with your browser
sign-in-code = Sign in with a code
sign-in-code-hint = For a PC without a browser: you type a short code on your phone or another PC.
sign-in-browser-body = Your browser has opened io.net’s sign-in page. Come back here when you are done; this window notices by itself.
sign-in-cancel = Cancel sign-in
sign-in-code-wait = Asking for a code…
sign-in-code-body = On your phone or another PC, open this address and type the code.
sign-in-code-address = Address
sign-in-code-label = Code
sign-in-code-expires = The code is valid until { $time }.
sign-in-code-open = Open the page here

# The page that the browser shows at the end.
callback-done-title = You are signed in
callback-done-body = Go back to Supplier. You can close this page.
callback-failed-title = Sign-in did not work
callback-failed-body = Go back to Supplier: it says why and lets you try again.

## The page to agree to

agreement-lead = What you agree to, in plain words. Nothing runs on this PC before you do.
agreement-runs-title = What will run here
agreement-runs-body = Jobs of io.net’s customers, such as rendering or training a model. A program named Nomad starts and stops them. Each job runs in a container of its own, only while you let this PC earn.
agreement-sees-title = What it may see
agreement-sees-body = A job sees the graphics card, a share of processor and memory, the internet, and a folder of its own that is emptied afterwards. It does not see your files, your screen or your other programs. io.net learns what hardware this PC has and when it is online.
agreement-costs-title = What it costs
agreement-costs-body = Electricity, which you pay: a graphics card at full load can draw several hundred watts. Also heat, fan noise and some of your internet traffic. Signing up and stopping cost nothing.
agreement-stop-title = How you stop it
agreement-stop-body = Pause at any time, here or in the tray. The work stops at once, and a moment later nothing of it is left on this PC.
agree = Agree and set up this PC

## Setting up

setup-title = Getting this PC ready
setup-lead = These steps run by themselves. One that needs you says so.
setup-account = Your account
setup-agreement = Your agreement
setup-identity = A certificate for this PC
setup-gpu = Graphics card and driver
setup-agent = The program that runs jobs
setup-region = Connection to the region
setup-done = done
setup-now = now
setup-later = waits
setup-needs-you = needs you

## Home

today = Today
today-empty = Your first amount appears here when a job has run.
today-explained = Since midnight UTC, as the region counts it
job-title = This job
job-running-for = running for { $duration }
job-starting = is being prepared
job-earned = { $amount } so far
jobs-none = No job right now. The next one appears here when it starts.
jobs-none-paused = No job while your PC is paused.
gpu-load = Load
gpu-heat = Heat
gpu-memory = VRAM
gpu-power = Power
gpu-memory-total = VRAM in total
gpu-driver = Driver
gpu-cuda = CUDA
gpu-waiting = Live figures appear here when the card has been found.
gpu-unknown = Not found yet
percent = { $value } %
celsius = { $value } °C
gigabytes = { $value } GB
watts = { $value } W
pc-title = This PC
pc-device = Device
pc-node = In the region
pc-region = Region
pc-certificate = Certificate until
pc-logs = Logs
pc-logs-waiting = { $count ->
    [one] 1 file waits to be sent
   *[other] { $count } files wait to be sent
}
pc-logs-sent = sent { $age } ago
pc-logs-none = nothing to send yet
pc-os = System
pc-not-enrolled = not enrolled yet
node-none = not known yet
node-initializing = getting ready
node-ready = ready for jobs
node-held = ready, takes no new jobs
node-down = offline
node-disconnected = connection lost
stale = As of { $age } ago. io.net has not answered since.

pause = Pause
pause-more = Pause for…
pause-hour = Pause for 1 hour
pause-four-hours = Pause for 4 hours
pause-open-end = Pause until you resume
resume = Resume
quit = Quit
help = Help
problems-title = What needs attention
blocked-mark = Attention

## Account

account-signed-out = Not signed in
account-signed-out-enrolled = This PC earns all the same. Sign in to manage your account.
account-sign-in = Sign in
sign-out = Sign out
session-keyring = Your sign-in is kept in this system’s keyring.
session-file = No keyring here: your sign-in is kept in a file that only your user can read.

## Quitting

quit-question = A job is running. Quit anyway?
quit-question-body = Quitting stops it on this PC, and it moves elsewhere. What it has earned so far stays yours.
quit-anyway = Quit and stop the job
quit-keep-running = Keep running
farewell-clean-title = Supplier has quit
farewell-clean-body = Nothing of it is left running on this PC.
farewell-left-title = Supplier has quit, but not everything ended
farewell-left-body = Something that belongs to a job may still be running. Restart this PC to be sure that it is gone.

## The window without its resident program

link-connecting-title = Connecting
link-connecting-body = This window looks for the part of Supplier that stays in the background.
link-start = Start Supplier
link-not-started-title = Supplier could not be started
link-not-started-body = The part that stays in the background does not start. Install Supplier again, or ask for help with this reason: { $why }
link-other-version-title = Two versions of Supplier are open
link-other-version-body = It was updated while it ran. Quit it in the tray, then start it again.

## The tray and the command line

tray-today = Today: { $amount }
tray-job = Job: { $name }
tray-agreement = Read and agree
tray-open = Open Supplier

## The deeds of problems

action-sign-in = Sign in
action-retry = Try again
action-detect = Look again
action-resume = Start earning again
action-open-driver-download = Get the driver
action-open-agent-install = See how to install it
action-open-help = Open help
action-open-device-code-page = Open the page

## Problems

problem-settings-damaged-title = Your settings could not be read
problem-settings-damaged-body = The file is damaged, so your PC stays paused: nothing runs until you say so. Start earning again, and the settings are written anew.
problem-settings-unwritable-title = Your settings cannot be saved
problem-settings-unwritable-body = What you choose now is forgotten at the next start. Make room on the disk or allow writing to the settings folder, then try again. (Reason: { $why })
problem-provider-down-title = The sign-in page cannot be reached
problem-provider-down-body = io.net’s sign-in does not answer. Check your internet connection, or try again in a few minutes.
problem-sign-in-abandoned-title = Sign-in was not finished
problem-sign-in-abandoned-body = Nobody came back from the browser in time. Sign in again; nothing was changed.
problem-sign-in-refused-title = Sign-in was refused
problem-sign-in-refused-body = The sign-in page said no. Sign in again and allow Supplier to use your account. (Reason: { $why })
problem-sign-in-not-ours-title = That was not the answer to your sign-in
problem-sign-in-not-ours-body = An answer arrived that this app did not ask for, so it was thrown away. Sign in again, starting from this window.
problem-code-expired-title = The code has expired
problem-code-expired-body = It was not typed in in time. Sign in again to get a new one.
problem-session-ended-title = You are signed out
problem-session-ended-body = io.net ended this sign-in. A PC that is already enrolled goes on earning; sign in again to manage your account.
problem-cannot-store-title = Your sign-in cannot be kept
problem-cannot-store-body = Neither the keyring nor a file took it. Unlock the keyring or make room on the disk, then try again. (Reason: { $why })
problem-no-network-title = No internet connection
problem-no-network-body = This PC reaches nothing outside. Connect it to a network; earning goes on by itself.
problem-gateway-down-title = io.net does not answer
problem-gateway-down-body = The fault is on io.net’s side or on the way there. The app tries again by itself; no earnings are lost.
problem-region-unreachable-title = Your region does not answer
problem-region-unreachable-body = io.net answers, but the servers that place jobs do not. A job on this PC goes on; what it earns is counted when they are back.
problem-gateway-slow-title = io.net answers too slowly
problem-gateway-slow-body = Requests time out. Check whether your connection is busy; the app tries again by itself.
problem-gateway-garbled-title = Something else answers in io.net’s place
problem-gateway-garbled-body = The answer makes no sense. A hotel’s or company’s sign-in page may stand in between: open a browser, sign in to the network, then try again.
problem-gateway-refused-title = io.net refused the request
problem-gateway-refused-body = Try again; if it stays so, ask for help with this reason: { $why }
problem-clock-wrong-title = Your PC’s clock is { $hours ->
    [0] { $minutes } min
   *[other] { $hours } h
} { $direction ->
    [ahead] ahead
   *[behind] behind
}
problem-clock-wrong-body = Secure connections fail with a wrong clock. Set the date and time in your system’s settings, then try again.
problem-certificate-refused-title = This PC’s certificate was refused
problem-certificate-refused-body = io.net does not accept the certificate that was made for this PC. Try again; if it stays so, ask io.net’s support to let this PC enrol anew.
problem-certificate-expired-title = This PC’s certificate has expired
problem-certificate-expired-body = The PC was off for longer than the certificate lives. It is renewed with the key on this PC; try again if that takes long.
problem-registration-denied-title = The region does not let this PC in
problem-registration-denied-body = Its permission to join has expired. The app asks for a new one and tries again by itself; if it stays so, ask for help.
problem-servers-not-trusted-title = This PC cannot be sure that it speaks to io.net
problem-servers-not-trusted-body = The servers that place jobs did not prove who they are, so nothing is run for them. Another network may help; if it stays so, ask for help.
problem-servers-unreachable-title = The way to the job servers is blocked
problem-servers-unreachable-body = io.net answers, but this PC cannot reach the servers that place jobs. A firewall or a company’s network often stops this; allow Nomad there or use another network.
problem-device-lost-title = This PC was reported lost
problem-device-lost-body = Its owner said so, and io.net trusts it no longer. Nothing runs here. If this is wrong, ask io.net’s support to let this PC enrol anew.
problem-driver-missing-title = The graphics driver is missing
problem-driver-missing-body = Without NVIDIA’s driver no job can use the card. Install it, restart this PC if it asks you to, and the app goes on by itself.
problem-driver-broken-title = The graphics driver does not run
problem-driver-broken-body = It is installed but does not answer. Restart this PC; if that does not help, install the driver again. (Reason: { $why })
problem-driver-too-old-title = The graphics driver is too old
problem-driver-too-old-body = You have { $found }; jobs need { $needed } or newer. Install the current driver.
problem-no-gpu-title = No graphics card was found
problem-no-gpu-body = The driver runs but sees no NVIDIA card. Check that it is plugged in and switched on, then look again.
problem-agent-missing-title = The program that runs jobs is missing
problem-agent-missing-body = Supplier needs Nomad and did not find it on this PC. Install it, then try again.
problem-agent-not-executable-title = The program that runs jobs cannot be started
problem-agent-not-executable-body = This file may not be run: { $path }. Make it executable or install Nomad again, then try again.
problem-agent-crashed-title = The program that runs jobs ended by itself
problem-agent-crashed-body = It is started again after a short wait. If it keeps ending, ask for help with its exit code: { $code }
problem-agent-bad-plan-title = The program that runs jobs refused its settings
problem-agent-bad-plan-body = Supplier and Nomad do not fit together. Update both, then try again. (Reason: { $why })
problem-port-in-use-title = Another program is in the way
problem-port-in-use-body = A network port that jobs need is taken. Close other copies of Nomad, then try again.
problem-no-introduction-title = The region did not let this PC in
problem-no-introduction-body = io.net gave no permission to join. Try again; if it stays so, ask for help with this reason: { $why }
problem-no-guard-title = The safety guard does not run
problem-no-guard-body = Without it, work could go on after this app ends, so nothing is started. Try again or restart this PC. (Reason: { $why })
problem-work-still-there-title = Something of a job is still running
problem-work-still-there-body = { $left ->
    [one] One process or container
   *[other] { $left } processes or containers
} did not end when told to. Try again; a restart of this PC ends it for certain.
problem-engine-down-title = The container program does not answer
problem-engine-down-body = Jobs cannot be stopped or started without it. Start Docker, then try again.
problem-log-disk-full-title = No room for logs
problem-log-disk-full-body = The disk is full. Your PC goes on earning, but what happens now is not written down. Make some room.
problem-log-refused-title = Logs cannot be sent
problem-log-refused-body = The store answers { $status } and does not take them now. They are kept here and tried again; earning is not affected. If this stays for days, tell support the number.
problem-log-quota-title = Your share of the disk is used up
problem-log-quota-body = Your PC goes on earning, but what happens now is not written down. Delete what you do not need, or ask whoever runs this PC for a larger share.
problem-log-read-only-title = The disk for logs can only be read
problem-log-read-only-body = Your PC goes on earning, but what happens now is not written down. A disk often turns read-only after an error: restart this PC, and check the disk if it happens again.
problem-log-not-allowed-title = Logs may not be written
problem-log-not-allowed-body = The app's log folder does not let this user write. Give the folder back to yourself, or delete it: the app makes a new one.
problem-log-disk-failing-title = The disk for logs fails
problem-log-disk-failing-body = Your system says: { $why }. Your PC goes on earning, but what happens now is not written down. Save what matters to you, and check the disk.
problem-log-disk-hangs-title = The disk for logs does not answer
problem-log-disk-hangs-body = The app goes on without it and counts what it could not write down. If it is a network disk, check its connection; otherwise restart this PC.
problem-log-disk-gone-title = The disk for logs is gone
problem-log-disk-gone-body = Connect the disk with the app's folder again. Until then your PC goes on earning, but what happens is not written down.
problem-log-store-silent-title = Logs have not been sent for a day
problem-log-store-silent-body = { $host } cannot be reached from here, though io.net can. A firewall, a filter or a company network may be in the way: allow { $host }. The logs are kept here; earning is not affected.
problem-no-keyring-title = Your sign-in is kept in a file
problem-no-keyring-body = This system has no keyring, so your sign-in lies in a file that only your user can read. Set up a keyring and sign in again to move it there.
