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

step-begun = Getting ready to give your PC back.
step-freezing = The work is being stopped where it stands.
step-making-ineligible = The region is told to send no new work.
step-thawing = The job may tidy up, at the lowest priority.
step-stopping-allocations = The job is moving to another PC.
step-stopping-agent = The program that runs jobs is stopping.
step-signing-out = You are being signed out.
step-saving = Your settings are being written.
step-flushing-logs = The last logs are being sent.

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
sign-in-offer-code = Did no page open, or can you not sign in there? A code does the same from any other device.

# The page that the browser shows at the end.
callback-done-title = You are signed in
callback-done-body = Go back to Supplier. You can close this page.
callback-failed-title = Sign-in did not work
callback-failed-body = Go back to Supplier: it says why and lets you try again.
callback-too-large-title = Your browser sends too much
callback-too-large-body = It holds very many cookies for addresses on this PC. Sign in with a private window, or go back to Supplier and sign in with a code.

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
today-explained = Since midnight, as the region counts it
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
gpu-asleep = Asleep
gpu-asleep-body = Your system has put this card to sleep. It is not woken to be measured; a job wakes it.
gpu-out = Takes no jobs
gpu-no-figures = No live figures right now.
gpu-memory-shared = shares this PC’s memory
percent = { $value } %
celsius = { $value } °C
gigabytes = { $value } GB
megabytes = { $value } MB
megabits = { $value } Mbit/s
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
pc-earns-for = This PC earns for { $name }
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

## Earnings

nav-title = Places
nav-home = Home
nav-earnings = Earnings
nav-safety = Safety
nav-settings = Settings
earnings-span = Earnings by
earnings-by-day = Days
earnings-by-week = Weeks
earnings-by-month = Months
earnings-days = Last 30 days
earnings-weeks = Last 12 weeks
earnings-months = Last 12 months
earnings-week-of = Week of { $date }
earnings-scope = Whose earnings
earnings-this-pc = This PC
earnings-account = All your PCs
earnings-read-out = { $period }: { $amount } { $currency }
earnings-as-table = Show as table
earnings-as-bars = Show as bars
earnings-period = Period
earnings-amount = Amount
earnings-loading = Asking io.net what was earned…
earnings-empty = Nothing was earned in this time. Amounts appear here once a job has run.
earnings-stale = As of { $age } ago. io.net has not answered since.
earnings-refused-title = Your earnings cannot be shown right now
earnings-too-late-body = io.net took too long to answer. Nothing is lost: try again in a moment.
earnings-no-answer-body = The part of Supplier that stays in the background did not answer. Try again in a moment.
earnings-too-many-body = Too much was asked at once. Try again in a moment.
earnings-jobs = Jobs
earnings-more = More jobs are being fetched…
earnings-when = From – to
earnings-from = { $time } – now
earnings-gpu = Card
earnings-gpu-any = any card
earnings-pc = PC
earnings-end = Ended
earnings-rate = Rate
earnings-per-hour = { $amount } { $currency }/h
earnings-running = still running
earnings-not-started = has not started
earnings-end-complete = finished
earnings-end-failed = failed
earnings-end-lost = connection lost
earnings-end-stopped = stopped
earnings-end-disputed = in dispute
earnings-end-unknown = ended

## Safety: what a job can see of this PC, as it was tried from inside

safety-title = What can a job see?
safety-title-one = What can this job see?
safety-tried = Tried from a job’s place on this PC: { $time }.
safety-none = Nobody has looked from a job’s place yet. As soon as somebody has, this page lists what a job can reach on this PC and what is kept from it.
safety-open = Open, because jobs need it
safety-kept = Kept from jobs
safety-breach = Open, and must not be
safety-cut-off = Jobs need it, and it was out of reach
safety-untried = Could not be tried
safety-refused = { $time }: a job asked for more than it may have. It was not run.
safety-refused-body = { $count ->
    [one] What it asked for: { $what }. Nothing of it got through.
   *[other] What it asked for: { $what }. Nothing of it got through. With that one it was { $count } times since Supplier started.
}
sight-internet-title = The internet
sight-internet-body = As any program you run. A job fetches its data there and sends its results.
sight-disk-title = Disk space for jobs
sight-disk-body = For jobs’ own files, and with none of yours in it. What a job leaves is removed when it is over.
sight-cards-title = Graphics cards
sight-cards-body = They do the work that you are paid for.
sight-this-pc-title = This PC’s own services
sight-this-pc-body = Shared folders, remote desktop, a game server: whatever else answers on this PC.
sight-home-network-title = Other devices in your home
sight-home-network-body = Your router, printer, television and other PCs.
sight-metadata-title = A data centre’s inside information
sight-metadata-body = What a cloud tells its own machines (metadata), should this PC stand in one.
sight-mail-title = Sending mail
sight-mail-body = The port for mail (25), so that nobody sends spam from your address.
sight-other-jobs-title = Other jobs
sight-other-jobs-body = What runs here for other customers.
sight-files-title = Your files
sight-files-body = Everything on your disks that is not a job’s.
sight-names-title = Your name and your PC’s
sight-names-body = What this PC and its users are called.
sight-programs-title = Your programs
sight-programs-body = What else runs here, your games and your screen included.
live-title = Jobs right now
live-since = Traffic is counted since the place for jobs was set up.
live-none = No live figures right now.
live-received = Received
live-sent = Sent
live-disk = Disk
live-disk-of = of { $size }
live-memory = Memory
live-refused = { $count ->
    [one] One try to reach a closed address was turned back.
   *[other] { $count } tries to reach closed addresses were turned back.
}

## Settings: what of this PC jobs get

share-title = What jobs get of this PC
share-none = Jobs run as plain programs in this rehearsal, so nothing holds them to a share of this PC. There is nothing to set.
share-waits = Jobs that run now keep what they have. Your change takes effect when jobs next start here: pause and resume to have it sooner.
share-save = Save
share-not-a-number = Write a whole number, such as { $example }.
share-disk-title = Room for jobs
share-disk-body = Jobs keep their files on a disk of their own on your drive. It takes only what they use, and gives back what they free.
share-disk-how = How much room
share-disk-auto = Automatic
share-disk-own = Your own size
share-disk-auto-body = A third of what your drive has free when the disk is made, at most 60 GB. One that is there stays as it is.
share-disk-own-body = A larger disk is there when jobs next start. It never shrinks: a smaller size than it has changes nothing.
share-disk-label = Size in GB
share-disk-free = Free on your drive
share-disk-used = Jobs take now
share-disk-size = Their disk holds
share-disk-too-small = Jobs cannot start with that little. Choose { $least } GB or more.
share-disk-too-large = Your drive has no room for that. Choose { $most } GB or less, or make room on the drive first.
share-disk-stays = Jobs’ disk holds { $size } GB already and does not shrink, so the smaller size has no effect.
share-rate-title = Room on your internet connection
share-rate-body = Jobs fetch and send their data over your connection. A cap keeps the rest of it free for you.
share-rate-how = How much of the connection
share-rate-none = No cap
share-rate-own = A cap
share-rate-none-body = A job may take all of your connection for a while.
share-rate-own-body = For all jobs together, each way. Half of what your connection can do keeps the other half for you.
share-rate-label = Mbit/s each way
share-rate-received = Jobs receive now
share-rate-sent = Jobs send now
share-rate-too-low = Jobs could not fetch their data with that little. Choose { $least } Mbit/s or more.
share-rate-too-high = No connection is that fast. Choose { $most } Mbit/s or less, or no cap.

## Account

account-signed-out = Not signed in
account-signed-out-enrolled = This PC earns all the same. Sign in to manage your account.
account-sign-in = Sign in
account-locked = Your keyring is locked.
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
settings-disk = Room for jobs: { $size } GB
settings-disk-auto = Room for jobs: automatic
settings-disk-there = Jobs’ disk holds { $size } GB and takes { $used } GB now.
settings-disk-free = Free on your drive: { $free } GB
settings-rate = Internet for jobs: at most { $rate } Mbit/s each way
settings-rate-none = Internet for jobs: no cap
not-possible-now = This is not possible as things are. Nothing was changed.
undone-meanwhile = Something else was asked for before this was done. Ask again if you still want it.

## The deeds of problems

action-sign-in = Sign in
action-retry = Try again
action-detect = Look again
action-resume = Start earning again
action-take-over = Let this PC earn for you
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
problem-sign-in-not-ours-body = An answer arrived that this app did not ask for, so it was thrown away. Sign in again, starting from this window. (What did not fit: { $why })
problem-no-trust-store-title = This PC cannot tell who is who on the internet
problem-no-trust-store-body = Its list of certificate authorities is missing or cannot be read. Install it (most systems call it “ca-certificates”), then sign in again.
problem-code-expired-title = The code has expired
problem-code-expired-body = It was not typed in in time. Sign in again to get a new one.
problem-session-ended-title = You are signed out
problem-session-ended-body = io.net ended this sign-in. A PC that is already enrolled goes on earning; sign in again to manage your account.
problem-sign-in-unreadable-title = The sign-in’s answer cannot be read
problem-sign-in-unreadable-body = io.net’s sign-in answered, but not in a way that this app understands. Try again in a few minutes; if it stays so, update Supplier or ask for help with this reason: { $why }
problem-keyring-locked-title = Unlock your keyring
problem-keyring-locked-body = Your sign-in is kept in the desktop’s keyring, which is locked. Unlock it, and the app goes on by itself; if you were signing in just now, sign in once more then. A PC that is already enrolled goes on earning.
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
problem-gateway-busy-title = io.net asks this PC to wait
problem-gateway-busy-body = More was asked than io.net answers at a time. The app goes on by itself in { $seconds } s; there is nothing to do.
problem-gateway-not-trusted-title = io.net’s answer was not trusted
problem-gateway-not-trusted-body = It names what this app does not know, so nothing of it was kept and nothing runs for it: { $what }. Update Supplier; if it stays so, tell io.net’s support.
problem-proxy-in-the-way-title = { $why ->
    [unreachable] The proxy { $host } cannot be reached
    [password] The proxy { $host } wants a password
   *[refuses] The proxy { $host } refuses
}
problem-proxy-in-the-way-body = { $by ->
    [environment] The environment that Supplier was started in names this proxy for everything (HTTPS_PROXY; after a change there, start Supplier anew),
   *[settings] Your system’s settings name this proxy for everything,
} { $why ->
    [unreachable] and it does not answer. Check the proxy there, then try again.
    [password] and it does not know you. Put its name and password there, then try again.
   *[refuses] and it does not let Supplier reach io.net. Ask whoever runs it to allow io.net, or use another network.
}
problem-connection-opened-title = Something opens your secure connections
problem-connection-opened-body = An antivirus program or this network answers in io.net’s place, as “{ $issuer }”. This PC earns only over a connection that nobody opens: make an exception for io.net there, or use another network, then try again.
problem-clock-wrong-title = Your PC’s clock is { $hours ->
    [0] { $minutes } min
   *[other] { $hours } h
} { $direction ->
    [ahead] ahead
   *[behind] behind
}
problem-clock-wrong-body = Secure connections fail with a wrong clock. Set the date and time in your system’s settings, then try again.
problem-not-enrolled-title = This PC is not set up yet
problem-not-enrolled-body = Nothing can have been earned on it. Open Supplier and follow its steps: sign in, agree, and it is set up.
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
problem-device-retired-title = This PC has left its account
problem-device-retired-body = It no longer earns for the account that it was connected to; what it earned stays there. Sign in to connect it anew.
problem-driver-missing-title = The graphics driver is missing
problem-driver-missing-body = Without NVIDIA’s driver no job can use the card. Install it, restart this PC if it asks you to, and the app goes on by itself.
problem-driver-not-loaded-title = The graphics driver is not running yet
problem-driver-not-loaded-body = It is installed and has not been started. Right after switching on this takes a moment, and the app goes on by itself. If it stays so, restart this PC.
problem-driver-mismatch-title = Restart this PC: its graphics driver was updated
problem-driver-mismatch-body = The new driver takes over at the next start; until then no job can use the card. Save your work and restart, and the app goes on by itself.
problem-driver-silent-title = The graphics driver does not answer
problem-driver-silent-body = A question to it has not come back. If it does not answer within a few minutes, restart this PC; the app goes on by itself when it does.
problem-driver-broken-title = The graphics driver does not run
problem-driver-broken-body = It is installed but does not answer. Restart this PC; if that does not help, install the driver again. (Reason: { $why })
problem-driver-too-old-title = The graphics driver is too old
problem-driver-too-old-body = You have { $found }; jobs need { $needed } or newer. Install the current driver.
problem-no-gpu-title = No graphics card was found
problem-no-gpu-body = The driver runs but sees no NVIDIA card. Check that it is plugged in and switched on, then look again.
problem-card-lost-title = A graphics card is gone
problem-card-lost-body = { $cards } was there and does not answer any longer. If you did not take it out, restart this PC; if it happens again, check its seat, its power cables and its temperature.
problem-card-needs-reset-title = A graphics card needs a restart
problem-card-needs-reset-body = { $cards } ran into an error that only a reset clears. Restart this PC, and it takes jobs again.
problem-card-unpowered-title = A graphics card lacks power
problem-card-unpowered-body = The power cables of { $cards } are not plugged in properly. Switch this PC off, check them, and start it again.
problem-card-worn-title = A graphics card has failing memory
problem-card-worn-body = { $cards } reports memory that failed and could not be put aside, so its results may be wrong. It gets no jobs; ask its maker for a replacement.
problem-card-divided-title = A graphics card is cut into instances
problem-card-divided-body = Jobs get whole cards, and { $cards } is divided (MIG). Switch MIG off with “nvidia-smi -mig 0” as administrator, then look again.
problem-card-prohibited-title = A graphics card lets no program compute
problem-card-prohibited-body = The compute mode of { $cards } is “prohibited”. Set it to “default” with “nvidia-smi -c 0” as administrator, then look again.
problem-card-lent-out-title = A graphics card belongs to virtual machines
problem-card-lent-out-body = { $cards } is handed out to virtual machines on this PC, so jobs cannot use it. Run the app inside such a machine, or take the card back and look again.
problem-card-forbidden-title = This user may not use a graphics card
problem-card-forbidden-body = The system does not let this user talk to { $cards }. Ask who looks after this PC for access to the NVIDIA devices, then look again.
problem-card-silent-title = A graphics card does not answer
problem-card-silent-body = The driver runs, and { $cards } answers nothing. Restart this PC; if that does not help, install the driver again.
problem-card-repair-pending-title = A graphics card wants a restart when it suits you
problem-card-repair-pending-body = { $cards } found faulty memory and puts it aside at the next start of this PC. Until then it goes on working.
problem-agent-missing-title = The program that runs jobs is missing
problem-agent-missing-body = Supplier needs Nomad and did not find it on this PC. Install it, then try again.
problem-card-plugin-missing-title = A part of Supplier is missing
problem-card-plugin-missing-body = Without it no job can be given a graphics card. Install Supplier again, then try again.
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
problem-agent-wrong-version-title = This version of Nomad does not fit
problem-agent-wrong-version-body = { $found } was found, and Supplier needs { $needed }. Install that one, then try again.
problem-agent-not-genuine-title = The program that runs jobs was changed
problem-agent-not-genuine-body = { $path } is not what its publisher released, so it is not started. Install Supplier again, then try again.
problem-agent-shim-title = That is not Nomad itself
problem-agent-shim-body = { $path } is a script that looks for Nomad, as asdf and mise make them; it finds none without your settings. Name the real program in NOMAD (“asdf which nomad” or “mise which nomad” shows it), then try again.
problem-agent-silent-title = The program that runs jobs does not answer
problem-agent-silent-body = { $path } was asked for its version and said nothing. Install Nomad again or restart this PC, then try again.
problem-app-upgraded-title = Supplier was upgraded while it ran
problem-app-upgraded-body = Its new parts need the new Supplier, and the old one still runs, so no new job comes. Quit Supplier, then start it again.
problem-agent-no-network-title = No way out for jobs
problem-agent-no-network-body = This PC has no network connection that leads outside, so the program that runs jobs cannot start. Connect it to a network; it starts by itself then.
problem-agent-state-damaged-title = The notes of the program that runs jobs were damaged
problem-agent-state-damaged-body = That happens when a PC loses power. They were removed together with the jobs that they were about, and it starts anew by itself; there is nothing to do.
problem-agent-disk-full-title = No room for jobs
problem-agent-disk-full-body = The disk that jobs’ files lie on is full, so no new job can come. Make some room; it goes on by itself then.
problem-agent-folder-unwritable-title = The folder for jobs cannot be written
problem-agent-folder-unwritable-body = The program that runs jobs may not write where its files lie, or the disk takes no changes. Check the folder’s owner and the disk, then try again. (Reason: { $why })
problem-agent-folder-in-use-title = Another Nomad uses the folder for jobs
problem-agent-folder-in-use-body = End the other copy of Nomad, or restart this PC, then try again.
problem-agent-no-control-groups-title = This PC cannot set limits for jobs
problem-agent-no-control-groups-body = The program that runs jobs may not make control groups, so no job could be kept within its share. Run Supplier as a system service, or allow its user to delegate control groups, then try again. (Reason: { $why })
problem-agent-certificate-unreadable-title = This PC’s certificate cannot be read
problem-agent-certificate-unreadable-body = A file of this PC’s identity is missing or damaged. Try again; if it stays so, ask io.net’s support to let this PC enrol anew. (Reason: { $why })
problem-agent-pc-unreadable-title = The program that runs jobs cannot tell what this PC has
problem-agent-pc-unreadable-body = It does not start without knowing processor, memory and disk. Restart this PC; if it stays so, ask for help with this reason: { $why }
problem-agent-slow-title = The program that runs jobs takes long to start
problem-agent-slow-body = It is still coming up, and goes on by itself as soon as it is there. A busy disk or processor often is the cause.
problem-agent-busy-title = The program that runs jobs is still busy with an earlier start
problem-agent-busy-body = It is taken over or started anew by itself; there is nothing to do.
problem-capsule-program-missing-title = A program that shuts jobs in is missing
problem-capsule-program-missing-body = Jobs run in a world of their own on this PC, and { $program } is needed for its walls. Install it (on Debian and Ubuntu: apt install passt nftables uidmap docker.io iproute2), then try again.
problem-capsule-not-permitted-title = This system does not let jobs be shut in
problem-capsule-not-permitted-body = Jobs run in a world of their own, and the setting { $setting } forbids one to ordinary users. Have an administrator allow it or install Supplier’s service, then try again. Jobs never run without it.
problem-capsule-no-ids-title = Your user has no numbers to lend
problem-capsule-no-ids-body = Jobs run under user numbers that are nobody’s on this PC, and none are set aside for you in { $file }. Have an administrator run “usermod --add-subuids 100000-165535 --add-subgids 100000-165535” with your user’s name, then try again.
problem-capsule-no-control-group-title = Jobs could not be limited on this PC
problem-capsule-no-control-group-body = Without a control group of its own, Supplier could neither limit jobs nor stop them when you need the PC, so none is started. Missing: { $missing }. Sign in to a desktop with systemd, or have an administrator install Supplier’s service, then try again.
problem-capsule-no-device-title = A part of the system is out of reach
problem-capsule-no-device-body = Jobs run in a world of their own, which needs { $device }. Have an administrator make it available, then try again.
problem-capsule-disk-title = The jobs’ disk cannot be used
problem-capsule-disk-body = Jobs keep their files on a disk of their own on your drive, and it cannot be opened: { $why }. Make room or mend the drive, then try again.
problem-capsule-full-title = Jobs have filled their disk
problem-capsule-full-body = The disk that jobs have on this PC has no room left, so no new job comes. It goes on by itself once a job ends; to end all jobs now, pause, then resume. Your own files are not touched.
problem-capsule-busy-title = Jobs’ world is in use
problem-capsule-busy-body = Another Supplier on this PC holds the world that jobs run in. End it, then try again.
problem-capsule-failed-title = Jobs’ world does not start
problem-capsule-failed-body = Jobs run in a world of their own, and starting it failed, so none runs. Try again; if it stays so, ask for help with this reason: { $why }
problem-capsule-elsewhere-title = Jobs cannot run on this system yet
problem-capsule-elsewhere-body = There is no world of their own for jobs on this system yet, and they never run without one. Everything else works: your account, your earnings, your other PCs.
problem-work-still-there-title = Something of a job is still running
problem-work-still-there-body = { $left ->
    [one] One process or container
   *[other] { $left } processes or containers
} did not end when told to. Try again; a restart of this PC ends it for certain.
problem-engine-down-title = Jobs’ container program does not answer
problem-engine-down-body = No job can start or stop without it. Supplier asks it again by itself; if it stays so, pause and resume, which starts it anew.
problem-files-left-title = Files of ended jobs are still on the disk
problem-files-left-body = { $left ->
    [one] One job’s folder
   *[other] { $left } jobs’ folders
} could not be emptied; nothing of them runs any more. Try again; if it stays so, restart this PC and try once more.
problem-engine-absent-title = Jobs’ container program does not run
problem-engine-absent-body = Supplier starts it together with the world that jobs run in, and it is not there. Supplier goes on by itself once it is; if it stays so, pause and resume, which starts it anew.
problem-engine-not-permitted-title = Jobs’ container program lets nobody in
problem-engine-not-permitted-body = It refused Supplier, which is not how it was started. Pause and resume, which starts it anew; if it comes back, ask for help.
problem-engine-refuses-title = Jobs’ container program has a fault
problem-engine-refuses-body = Supplier asks it again by itself. If it stays so, pause and resume, which starts it anew; if it comes back, ask for help with this number: { $status }
problem-engine-foreign-title = That is not jobs’ container program
problem-engine-foreign-body = Something else answers in its place: { $what }. Pause and resume, which starts it anew; if it comes back, ask for help with these words.
problem-engine-no-card-title = Jobs cannot use the graphics card
problem-engine-no-card-body = NVIDIA’s Container Toolkit, which gives a job its card, is not on this PC, so that every job would fail. Install it (nvidia-container-toolkit), then pause and resume.
problem-engine-no-card-runtime-title = A part of NVIDIA’s Container Toolkit is missing
problem-engine-no-card-runtime-body = Jobs get the graphics card by its program “nvidia-container-runtime”, which is not on this PC, so that every job would fail. Install the toolkit again, then pause and resume.
problem-engine-confined-title = Jobs’ container program cannot see their files
problem-engine-confined-body = It is shut away from them, as programs from a snap are. Pause and resume, which starts it anew; if it comes back, ask for help.
problem-engine-folders-out-of-reach-title = Jobs’ files are out of reach
problem-engine-folders-out-of-reach-body = Jobs’ container program may not look where they lie in the world that jobs run in, so that every job would fail. Pause and resume, which makes that world anew; if it comes back, ask for help with this folder: { $folder }
problem-engine-program-gone-title = A program that starts jobs is gone
problem-engine-program-gone-body = Jobs’ containers are started with { $program }, and it is not on this PC any more, as during an update of the system. Supplier tries again by itself; if it stays so, bring the system’s updates to an end and restart this PC.
problem-engine-card-unreachable-title = Jobs cannot reach the graphics driver
problem-engine-card-unreachable-body = NVIDIA’s Container Toolkit could not give a job its card, and it would be so with every job. Restart this PC, then try again; if it stays so, install the toolkit again. (Reason: { $why })
problem-engine-loses-cards-title = A system update may take the graphics card from a running job
problem-engine-loses-cards-body = Jobs’ container program leaves devices to systemd, which does not find the card’s: at the next “systemctl daemon-reload”, as updates run it, jobs lose the card. Run “sudo nvidia-ctk system create-dev-char-symlinks --create-all” after each start of this PC.
problem-wall-open-title = A job could reach what is yours
problem-wall-open-body = { $what ->
    [this-pc] This PC’s own services
    [home-network] Other devices in your home
    [metadata] A data centre’s inside information
    [mail] The port for sending mail
    [other-jobs] Other jobs
    [files] Your files
    [names] Your name or your PC’s
    [programs] Your programs
   *[other] Something that is kept from jobs
}{ $count ->
    [0] {""}
    [one] {" "}and one thing more
   *[other] {" "}and { $count } things more
} could be reached from a job’s place, so nothing runs here and no job is taken. It is tried again by itself after ten minutes; if it stays so, ask for help.
problem-wall-untried-title = Nobody could try what a job can see
problem-wall-untried-body = Before a job comes, its place on this PC is tried from inside, and nothing was heard of that. So nothing runs here. It is tried again by itself after ten minutes; if it stays so, restart this PC.
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
problem-other-account-title = This PC earns for { $paid }
problem-other-account-body = You are signed in as { $here }, so nothing runs here for now. Take the PC over to let it earn for you; what it has earned stays { $paid }’s. Or sign out, and it can earn for { $paid } again.
problem-window-failed-title = The window did not stay open
problem-window-failed-body = It ended at once, also in its simplest form. This PC earns all the same; pause and quit stand in the tray. A restart of this PC often helps.
problem-settings-unreadable-title = The disk with your settings does not answer
problem-settings-unreadable-body = Your PC stays paused: nothing runs until you say so. Check the disk or the network drive that your home folder is on, then start earning again.
problem-part-broke-title = A part of the app had to be started again
problem-part-broke-body = It goes on by itself. If this comes back, ask for help with this name: { $name }
